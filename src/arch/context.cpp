#include "arch/context.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace gofer::arch {

extern "C" void gofer_begin_context() noexcept;

#if defined(__x86_64__)

GOFER_SWITCH_CODE void* make_context(std::byte* top, context_entry entry) noexcept {
  struct saved {
    std::uint32_t mxcsr;
    std::uint32_t x87_control;
    void* r15_to_r12[4];
    context_entry rbx;
    void* rbp;
    void (*resume)() noexcept;
  };
  static_assert(sizeof(saved) == 64);
  // gofer_begin_context calls the entry with the stack pointer just past `saved`; the ABI wants 16 there.
  const auto aligned = reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15};
  auto* at = reinterpret_cast<std::byte*>(aligned) - sizeof(saved);
  saved context{};
  context.mxcsr = 0x1f80;       // all exceptions masked, round to nearest: the state a process starts with
  context.x87_control = 0x37f;  // likewise
  context.rbx = entry;
  context.resume = gofer_begin_context;
  std::memcpy(at, &context, sizeof(context));
  return at;
}

saved_registers read_context(const void* saved) noexcept {
  std::array<std::uintptr_t, 8> word{};  // control words, r15, r14, r13, r12, rbx, rbp, where to go on
  std::memcpy(word.data(), saved, sizeof(word));
  return {.pc = word[7],
          .sp = reinterpret_cast<std::uintptr_t>(saved) + sizeof(word),
          .frame = word[6],
          .others = {word[5], word[4], word[3], word[2], word[1]}};
}

#elif defined(__aarch64__)

GOFER_SWITCH_CODE void* make_context(std::byte* top, context_entry entry) noexcept {
  struct saved {
    context_entry x19;
    void* x20_to_x29[10];
    void (*x30)() noexcept;
    double d8_to_d15[8];
    std::uint64_t fpcr;  // 0: round to nearest, no traps
    std::uint64_t unused;
  };
  static_assert(sizeof(saved) == 176);
  const auto aligned = reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15};
  auto* at = reinterpret_cast<std::byte*>(aligned) - sizeof(saved);
  saved context{};
  context.x19 = entry;
  context.x30 = gofer_begin_context;
  std::memcpy(at, &context, sizeof(context));
  return at;
}

saved_registers read_context(const void* saved) noexcept {
  std::array<std::uintptr_t, 12> word{};  // x19 to x28, x29, x30
  std::memcpy(word.data(), saved, sizeof(word));
  saved_registers all{.pc = word[11], .sp = reinterpret_cast<std::uintptr_t>(saved) + 176, .frame = word[10]};
  std::copy_n(word.begin(), 10, all.others.begin());
  return all;
}

#else
#error "gofer has no context switch for this CPU; x86-64 and aarch64 are supported"
#endif

}  // namespace gofer::arch
