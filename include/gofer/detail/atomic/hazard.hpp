#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include <gofer/detail/arch/asymmetric_fence.hpp>
#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/sched/atomic.hpp>
#include <gofer/detail/sched/point.hpp>

/// Hazard pointers (Michael, 2004) with asymmetric fences: readers announce what they look at, and what was replaced is
/// freed once nobody has announced it. A look that is copied is counted in the object instead: an announcement that
/// went from slot to slot could be missed by who reads one slot after another.
namespace gofer::inline v0::hazard {

/// Says that one object must not be freed, and points to it. Null while nobody has it; to itself, or null, while it is
/// had and protects nothing yet. Owned by a snapshot, not by a thread, so that a snapshot may be held across a wait and
/// released elsewhere.
using slot = std::atomic<const void*>;

/// Some slots of one thread, in one cache line. It takes one without a wait between looking for it and having it, so
/// none of its fibers gets the same; anybody gives it back. Whoever holds more at once gets `spare_slot`s.
struct alignas(arch::cache_line) slot_line {
  std::atomic<struct spare_slot*> spare{nullptr};  // those that the thread has and nobody uses
  std::array<slot, arch::cache_line / sizeof(slot) - 1> slots{};
};

/// One that is found by way of a list. Where it begins tells it from the others: they all have something before them in
/// their cache line.
struct alignas(arch::cache_line) spare_slot {
  slot protects{nullptr};
  spare_slot* next_free = nullptr;
  spare_slot* next_made = nullptr;  // all that were ever made
};
static_assert(sizeof(slot_line) == arch::cache_line);

/// A free slot for the calling thread; made if there is none.
slot* acquire();

void release_spare(slot* s) noexcept;

/// Gives a slot back, on any thread. It protects nothing any more.
inline void release(slot* s) noexcept {
  if (reinterpret_cast<std::uintptr_t>(s) % arch::cache_line == 0) [[unlikely]]
    return release_spare(s);
  if constexpr (sched::explores_atomics) sched::point("hazard::release", s);
  s->store(nullptr, std::memory_order_release);  // what was read through it happens before the object is freed
}

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
    if constexpr (sched::explores_atomics) sched::point("hazard::protect", &s);
    // Release: who finds this here, and not what was here before, sees what was done until that was given up.
    s.store(seen, std::memory_order_release);
    arch::light_fence();  // pairs with the heavy fence in collect
    T* again = from.load(std::memory_order_acquire);
    if (again == seen) return seen;
    seen = again;
  }
}

}  // namespace gofer::inline v0::hazard
