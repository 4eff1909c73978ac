#pragma once

#include <cstddef>

namespace gofer::arch {

/// Where a new context begins. `transfer` is what the switch that enters it was given.
using context_entry = void (*)(void* transfer);

/// Lays out a context at the top of a stack, so that the first switch to it calls `entry` there. Returns what to
/// switch to. `top` is the first byte past the stack's usable end and need not be aligned.
void* make_context(std::byte* top, context_entry entry) noexcept;

/// Saves the caller's context in `*save`, goes on in `load`, and hands it `transfer`, which is what the switch that
/// had left `load` returns there. Keeps what the ABI makes callee-saved, the floating-point control words included.
extern "C" void* gofer_switch_context(void** save, void* load, void* transfer) noexcept;

}  // namespace gofer::arch
