#pragma once

#include <gofer/detail/sched/point.hpp>

namespace gofer::inline v0::sync {

/// True where the order in which locks are taken is watched: in builds of the library for debugging, and under
/// GOFER_LOCK_ORDER=1.
extern const bool lock_order_watched;

void note_intent(const char* operation, const void* lock);
void note_locked(const void* lock);
void note_unlocked(const char* operation, const void* lock) noexcept;
void note_destroyed(const void* lock) noexcept;

/// What a lock tells of itself: one test of a value that is nearly always 0. `operation` as for sched::point.
struct lock_watch {
  /// Before a wait for the lock that nothing bounds but a stop. Before others there is sched::point alone.
  static void intends(const char* operation, const void* lock) {
    if (sched::observed()) [[unlikely]]
      note_intent(operation, lock);
  }
  /// Returns `locked`.
  static bool locked(const void* lock, bool locked = true) {
    if (sched::observed() && locked) [[unlikely]]
      note_locked(lock);
    return locked;
  }
  static void unlocks(const char* operation, const void* lock) noexcept {
    if (sched::observed()) [[unlikely]]
      note_unlocked(operation, lock);
  }
  static void destroyed(const void* lock) noexcept {
    if (sched::observed()) [[unlikely]]
      note_destroyed(lock);
  }
};

}  // namespace gofer::inline v0::sync
