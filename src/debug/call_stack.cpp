#include "debug/call_stack.hpp"

#if defined(GOFER_LIBUNWIND)
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#endif

namespace gofer::debug {

#if defined(GOFER_LIBUNWIND)

const bool can_walk_stacks = true;

namespace {

call_stack walk_from(unw_cursor_t& at) noexcept {
  call_stack walked;
  do {
    unw_word_t pc = 0;
    if (unw_get_reg(&at, UNW_REG_IP, &pc) != 0 || pc == 0) break;
    walked.frames[walked.depth++] = reinterpret_cast<const void*>(pc);
  } while (walked.depth < walked.frames.size() && unw_step(&at) > 0);
  return walked;
}

}  // namespace

call_stack walk(const arch::saved_registers& from) noexcept {
  unw_context_t context{};
#if defined(__x86_64__)
  auto& registers = context.uc_mcontext.gregs;
  registers[REG_RIP] = static_cast<greg_t>(from.pc);
  registers[REG_RSP] = static_cast<greg_t>(from.sp);
  registers[REG_RBP] = static_cast<greg_t>(from.frame);
  constexpr int others[] = {REG_RBX, REG_R12, REG_R13, REG_R14, REG_R15};
  for (std::size_t i = 0; i < std::size(others); ++i) registers[others[i]] = static_cast<greg_t>(from.others[i]);
#elif defined(__aarch64__)
  auto& machine = context.uc_mcontext;
  machine.pc = from.pc;
  machine.sp = from.sp;
  machine.regs[29] = from.frame;
  machine.regs[30] = from.pc;
  for (std::size_t i = 0; i < from.others.size(); ++i) machine.regs[19 + i] = from.others[i];
#endif
  unw_cursor_t at;
  if (unw_init_local(&at, &context) != 0) return {};
  return walk_from(at);
}

call_stack walk_own() noexcept {
  unw_context_t context;
  unw_cursor_t at;
  if (unw_getcontext(&context) != 0 || unw_init_local(&at, &context) != 0 || unw_step(&at) <= 0) return {};
  return walk_from(at);
}

call_stack walk_interrupted(void* context) noexcept {
  unw_cursor_t at;
  if (unw_init_local2(&at, static_cast<unw_context_t*>(context), UNW_INIT_SIGNAL_FRAME) != 0) return {};
  return walk_from(at);
}

#else

const bool can_walk_stacks = false;

call_stack walk(const arch::saved_registers& from) noexcept {
  return {.frames = {reinterpret_cast<const void*>(from.pc)}, .depth = 0};
}
call_stack walk_own() noexcept { return {}; }
call_stack walk_interrupted(void* /*context*/) noexcept { return {}; }

#endif

}  // namespace gofer::debug
