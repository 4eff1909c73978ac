#pragma once

#include <array>
#include <cstddef>
#include <span>

namespace gofer::inline v0::debug {

/// Addresses of a stack's frames, the innermost first. Each but perhaps the first is the address after a call.
struct call_stack {
  std::array<const void*, 48> frames{};
  std::size_t depth = 0;

  std::span<const void* const> all() const noexcept { return {frames.data(), depth}; }
};

/// True if libunwind was there when this was built and is there now; else there are no stacks to be seen.
bool can_walk_stacks() noexcept;

/// The stack of a context that is not running, by its address.
call_stack walk(const void* context) noexcept;

/// The caller's own.
call_stack walk_own() noexcept;

/// That of the code that a signal has interrupted; `context` is the handler's third argument.
call_stack walk_interrupted(void* context) noexcept;

}  // namespace gofer::inline v0::debug
