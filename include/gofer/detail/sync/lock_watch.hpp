#pragma once

#include <atomic>

namespace gofer::sync {

/// True where the order in which locks are taken is watched: in builds of the library for debugging, and under
/// GOFER_LOCK_ORDER=1.
extern const bool lock_order_watched;

void note_intent(const void* lock);
void note_locked(const void* lock);
void note_unlocked(const void* lock) noexcept;
void note_destroyed(const void* lock) noexcept;

/// What a lock tells of itself: one test of a constant where nobody watches.
struct lock_watch {
  /// Before a wait for the lock that nothing bounds but a stop.
  static void intends(const void* lock) {
    if (lock_order_watched) [[unlikely]]
      note_intent(lock);
  }
  /// Returns `locked`.
  static bool locked(const void* lock, bool locked = true) {
    if (lock_order_watched && locked) [[unlikely]]
      note_locked(lock);
    return locked;
  }
  static void unlocks(const void* lock) noexcept {
    if (lock_order_watched) [[unlikely]]
      note_unlocked(lock);
  }
  static void destroyed(const void* lock) noexcept {
    if (lock_order_watched) [[unlikely]]
      note_destroyed(lock);
  }
};

}  // namespace gofer::sync
