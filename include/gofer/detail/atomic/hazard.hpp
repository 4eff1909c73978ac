#pragma once

#include <atomic>
#include <cstddef>

#include <gofer/detail/arch/asymmetric_fence.hpp>
#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/sched/atomic.hpp>

/// Hazard pointers (Michael, 2004) with asymmetric fences: readers announce what they look at, and what was replaced is
/// freed once nobody has announced it. A look that is copied is counted in the object instead: an announcement that
/// went from slot to slot could be missed by who reads one slot after another.
namespace gofer::inline v0::hazard {

/// Says that one object must not be freed. Owned by a snapshot, not by a thread, so that a snapshot may be held across
/// a wait and released elsewhere.
struct alignas(arch::cache_line) slot {
  sched::atomic<const void*> protects{nullptr};
  slot* next_free = nullptr;  // in a thread's cache, or in the shared list
  slot* next_made = nullptr;  // all slots ever made
};

/// A free slot for the calling thread; made if there is none.
slot* acquire();

/// Gives a slot back, on any thread. It protects nothing any more.
void release(slot* s) noexcept;

/// What may be freed later.
struct retired {
  sched::atomic<std::size_t> copies{0};  // of looks at it, which no slot announces
  retired* next_retired = nullptr;
  void (*destroy)(retired*) noexcept = nullptr;
};

/// Frees `object` when nobody looks at it any more: now, or in a later call.
void retire(retired* object) noexcept;

/// Frees what can be freed now.
void collect() noexcept;

/// Loads a pointer and protects what it points to.
template <class T>
T* protect(slot& s, const sched::atomic<T*>& from) noexcept {
  T* seen = from.load(std::memory_order_relaxed);
  for (;;) {
    // Release: who finds this here, and not what was here before, sees what was done until that was given up.
    s.protects.store(seen, std::memory_order_release);
    arch::light_fence();  // pairs with the heavy fence in collect
    T* again = from.load(std::memory_order_acquire);
    if (again == seen) return seen;
    seen = again;
  }
}

}  // namespace gofer::inline v0::hazard
