#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "arch/sanitizer.hpp"

namespace gofer::arch {

/// Where a new context begins. `transfer` is what the switch that enters it was given.
using context_entry = void (*)(void* transfer);

/// Lays out a context at the top of a stack, so that the first switch to it calls `entry` there. Returns what to
/// switch to. `top` is the first byte past the stack's usable end and need not be aligned.
GOFER_SWITCH_CODE void* make_context(std::byte* top, context_entry entry) noexcept;

/// Saves the caller's context in `*save`, goes on in `load`, and hands it `transfer`, which is what the switch that
/// had left `load` returns there. Keeps what the ABI makes callee-saved, the floating-point control words included.
extern "C" void* gofer_switch_context(void** save, void* load, void* transfer) noexcept;

/// What a context that is not running goes on with, for those who walk its stack: the registers that the ABI makes
/// callee-saved, as they were where the switch was called.
struct saved_registers {
  std::uintptr_t pc = 0;
  std::uintptr_t sp = 0;
  std::uintptr_t frame = 0;
  std::array<std::uintptr_t, 10> others{};  // x86-64: rbx, r12 to r15; aarch64: x19 to x28
};
saved_registers read_context(const void* saved) noexcept;

}  // namespace gofer::arch
