#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>

#include <gofer/detail/arch/spin_lock.hpp>

#include "sched/fiber.hpp"
#include "sched/shared_queue.hpp"
#include "sched/stock.hpp"

namespace gofer::inline v0::sched {

struct processor;

/// Makes the control blocks of fibers, in slabs, and keeps those that have finished for reuse: a short list at every
/// processor, the rest here.
class fiber_depot {
 public:
  /// `runnable` gets room for every fiber that there may be.
  explicit fiber_depot(shared_queue& runnable) noexcept : runnable_(runnable) {}

  /// A free control block. `p` is the calling thread's processor or null. Throws std::bad_alloc.
  fiber* get(processor* p);

  /// Takes back the block of a fiber that has finished.
  void put(fiber* f, processor* p) noexcept;

  /// Calls `look(fiber)` for every block there is, in use or not. New ones may be missed.
  template <class F>
  void for_each(F&& look) {
    for (slab* s = slabs_.load(std::memory_order_acquire); s != nullptr; s = s->next) {
      for (fiber& f : s->blocks) look(f);
    }
  }

 private:
  static constexpr std::size_t batch = 128;
  static constexpr std::size_t blocks_at_once = shared_queue::room_at_once;

  struct slab {
    slab* next = nullptr;
    fiber blocks[blocks_at_once];
  };

  void grow();

  shared_queue& runnable_;
  arch::spin_lock lock_;
  stock<fiber> free_;  // guarded by lock_
  std::mutex growing_;
  std::atomic<slab*> slabs_{nullptr};
};

}  // namespace gofer::inline v0::sched
