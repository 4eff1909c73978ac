#include "debug/call_stack.hpp"

#include <unwind.h>

#include <cstring>

#include "arch/context.hpp"
#include "arch/sanitizer.hpp"

#if defined(GOFER_LIBUNWIND)
#include <dlfcn.h>
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#endif

namespace gofer::inline v0::debug {

call_stack walk_own() noexcept {
  struct {
    call_stack walked;
    bool outside = false;  // of this function
  } state;
  _Unwind_Backtrace(
      [](_Unwind_Context* at, void* argument) {
        auto& s = *static_cast<decltype(&state)>(argument);
        const auto pc = _Unwind_GetIP(at);
        if (s.walked.depth == s.walked.frames.size() || pc == 0) return _URC_END_OF_STACK;
        if (s.outside) s.walked.frames[s.walked.depth++] = reinterpret_cast<const void*>(pc);
        s.outside = true;
        return _URC_NO_REASON;
      },
      &state);
  return state.walked;
}

#if defined(GOFER_LIBUNWIND)

namespace {

#define GOFER_TEXT_OF(name) #name
#define GOFER_NAME_OF(function) GOFER_TEXT_OF(function)

/// libunwind, loaded when it is first needed. Not linked: it has functions of the same names as the C++ runtime's
/// unwinder, and would be put in its place for every exception of the program.
struct unwinder {
  decltype(&unw_init_local) init = nullptr;
  decltype(&unw_init_local2) init_with = nullptr;
  decltype(&unw_step) step = nullptr;
  decltype(&unw_get_reg) get = nullptr;

  unwinder() noexcept {
    void* library = dlopen("libunwind.so.8", RTLD_LAZY | RTLD_LOCAL);
    if (library == nullptr) return;
    load(library, GOFER_NAME_OF(unw_init_local), init);
    load(library, GOFER_NAME_OF(unw_init_local2), init_with);
    load(library, GOFER_NAME_OF(unw_step), step);
    load(library, GOFER_NAME_OF(unw_get_reg), get);
  }
  bool complete() const noexcept {
    return init != nullptr && init_with != nullptr && step != nullptr && get != nullptr;
  }

 private:
  template <class F>
  static void load(void* library, const char* name, F& function) noexcept {
    function = reinterpret_cast<F>(dlsym(library, name));
  }
};

const unwinder& loaded() noexcept {
  static const unwinder only;
  return only;
}

call_stack walk_from(unw_cursor_t& at) noexcept {
  const arch::unchecked_reads of_another_stack;
  call_stack walked;
  do {
    unw_word_t pc = 0;
    if (loaded().get(&at, UNW_REG_IP, &pc) != 0 || pc == 0) break;
    walked.frames[walked.depth++] = reinterpret_cast<const void*>(pc);
  } while (walked.depth < walked.frames.size() && loaded().step(&at) > 0);
  return walked;
}

}  // namespace

bool can_walk_stacks() noexcept { return loaded().complete(); }

call_stack walk(const void* context) noexcept {
  if (!can_walk_stacks()) return {};
  arch::saved_context saved{};
  std::memcpy(&saved, context, sizeof(saved));
  const auto sp = reinterpret_cast<std::uintptr_t>(context) + arch::saved_context_size;
  unw_context_t registers{};
  auto& machine = registers.uc_mcontext;
#if defined(__x86_64__)
  machine.gregs[REG_RIP] = static_cast<greg_t>(saved.pc);
  machine.gregs[REG_RSP] = static_cast<greg_t>(sp);
  machine.gregs[REG_RBP] = static_cast<greg_t>(saved.frame);
#elif defined(__aarch64__)
  machine.pc = saved.pc;
  machine.sp = sp;
  machine.regs[29] = saved.frame;
  machine.regs[30] = saved.pc;
#endif
  unw_cursor_t cursor;
  if (loaded().init(&cursor, &registers) != 0) return {};
  return walk_from(cursor);
}

call_stack walk_interrupted(void* context) noexcept {
  unw_cursor_t at;
  if (!can_walk_stacks() || loaded().init_with(&at, static_cast<unw_context_t*>(context), UNW_INIT_SIGNAL_FRAME) != 0)
    return {};
  return walk_from(at);
}

#else

bool can_walk_stacks() noexcept { return false; }

call_stack walk(const void* /*context*/) noexcept { return {}; }
call_stack walk_interrupted(void* /*context*/) noexcept { return {}; }

#endif

}  // namespace gofer::inline v0::debug
