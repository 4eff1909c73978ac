#pragma once

#include <cstdint>

#include "arch/sanitizer.hpp"

namespace gofer::inline v0::arch {

/// The floating-point environment of <cfenv>: rounding mode and traps. It belongs to the fiber. Every switch is made in
/// the state that a process starts with, so that a fiber which never changes it pays for one comparison.
///
/// On x86-64 that comparison is of the x87 control word, which <cfenv> changes together with MXCSR, and which is read
/// in a fraction of the time. What is set in MXCSR alone (_MM_SET_FLUSH_ZERO_MODE) stays with the thread.
#if defined(__x86_64__)

using float_state = std::uint16_t;
inline constexpr float_state initial_float_state = 0x37f;  // to nearest, no traps, 64 bits of precision

GOFER_SWITCH_CODE inline float_state current_float_state() noexcept {
  float_state now = 0;
  asm volatile("fnstcw %0" : "=m"(now));
  return now;
}

GOFER_SWITCH_CODE inline void set_float_state(float_state to) noexcept {
  asm volatile("fldcw %0" : : "m"(to));
  std::uint32_t sse = 0;
  asm volatile("stmxcsr %0" : "=m"(sse));
  constexpr std::uint32_t rounding = 0x6000;
  constexpr std::uint32_t traps = 0x1f80;
  sse = (sse & ~(rounding | traps)) | ((to & 0x0c00U) << 3) | ((to & 0x003fU) << 7);
  asm volatile("ldmxcsr %0" : : "m"(sse));
}

#elif defined(__aarch64__)

using float_state = std::uint64_t;
inline constexpr float_state initial_float_state = 0;  // to nearest, no traps

GOFER_SWITCH_CODE inline float_state current_float_state() noexcept {
  float_state now = 0;
  asm volatile("mrs %0, fpcr" : "=r"(now));
  return now;
}

GOFER_SWITCH_CODE inline void set_float_state(float_state to) noexcept { asm volatile("msr fpcr, %0" : : "r"(to)); }

#endif

/// Takes the environment of who is about to leave this thread; the thread's is the initial one then.
GOFER_SWITCH_CODE inline float_state take_float_state() noexcept {
  const float_state taken = current_float_state();
  if (taken != initial_float_state) [[unlikely]]
    set_float_state(initial_float_state);
  return taken;
}

/// Gives who has come back its environment, on whatever thread it is now.
GOFER_SWITCH_CODE inline void restore_float_state(float_state of_fiber) noexcept {
  if (of_fiber != initial_float_state) [[unlikely]]
    set_float_state(of_fiber);
}

}  // namespace gofer::inline v0::arch
