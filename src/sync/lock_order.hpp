#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace gofer::inline v0::sync {

/// Return addresses of a stack, the innermost first.
struct captured_stack {
  std::array<const void*, 16> frames{};
  std::size_t depth = 0;

  std::span<const void* const> all() const noexcept { return {frames.data(), depth}; }
};

/// Who has a lock, as far as the lock order is watched.
struct lock_holder {
  bool known = false;
  std::uint64_t fiber = 0;  // 0: a plain thread
  std::string name;
  captured_stack where;  // it was locked
};
lock_holder holder_of(const void* lock);

/// One side of two locks taken in opposite orders.
struct lock_inversion_side {
  lock_holder who;  // took `first`, then asked for `second`, `where` it says
  const void* first = nullptr;
  const void* second = nullptr;
  captured_stack first_where;  // it had taken `first`
};

/// Where the watch on the order of locks reaches what lies above it. Set once, early.
struct lock_order_hooks {
  /// The caller's stack.
  std::atomic<captured_stack (*)() noexcept> capture{nullptr};
  /// Reports a cycle: `now` is what is being done, `before` an earlier step that makes it one.
  std::atomic<void (*)(const lock_inversion_side& now, const lock_inversion_side& before)> inversion{nullptr};
  /// Reports that the caller locks what it has locked already; does not return.
  std::atomic<void (*)(const lock_holder& holder, const void* lock)> relock{nullptr};
};
extern constinit lock_order_hooks lock_order_above;

}  // namespace gofer::inline v0::sync
