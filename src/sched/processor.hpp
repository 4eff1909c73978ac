#pragma once

#include <atomic>
#include <cstdint>

#include <gofer/detail/arch/cpu.hpp>

#include "sched/fiber.hpp"
#include "sched/fiber_magazine.hpp"
#include "sched/free_list.hpp"
#include "sched/next_slot.hpp"
#include "sched/owned.hpp"
#include "sched/run_pace.hpp"
#include "sched/run_ring.hpp"
#include "sched/timer_heap.hpp"

namespace gofer::inline v0::sched {

/// What one processor counted. Only its owner adds; anybody may read.
struct processor_counters {
  owned<std::uint64_t> started;  // fibers
  owned<std::uint64_t> finished;
  owned<std::uint64_t> switches;
  owned<std::uint64_t> steals;    // fibers taken from other processors
  owned<std::uint64_t> handoffs;  // processors given away by blocking()
  owned<std::uint64_t> parks;
};

/// A right to run fibers, with what is needed for it; Go's P. One OS thread at a time owns it. What thieves, the
/// monitor or statistics also touch is atomic or has a lock.
struct alignas(arch::cache_line) processor {
  processor(unsigned number, bool stands_in) noexcept : index(number), surplus(stands_in) {
    random.set(0x9e3779b97f4a7c15ULL * (number + 1));
  }

  /// Consecutive runs from `next` before the ring gets its turn, so that two fibers that wake each other starve nobody.
  static constexpr unsigned next_budget = 32;
  /// Every so many switches the shared queue, the timers and the network are looked at first.
  static constexpr unsigned fairness_interval = 61;

  const unsigned index;
  const bool surplus;  // one that the monitor lets run while others stand still

  owned<unsigned> tick;               // switches so far; standing still tells the monitor that a fiber does not yield
  std::atomic<bool> replaced{false};  // the monitor has let a surplus processor run in the place of this one
  std::atomic<bool> idle{false};      // nobody runs it: it is in idle_set, or has retired
  owned<std::uint64_t> shared_at;     // in cycles: when its owner last took more than one from the shared queue
  owned<unsigned> polled_at;          // the tick at which its owner last looked at the network amid other work
  owned<unsigned> next_in_a_row;
  owned<unsigned> operations;    // on sockets since the last switch
  owned<std::uint64_t> next_id;  // ids are taken from the runtime in blocks
  owned<std::uint64_t> last_id;
  owned<std::uint64_t> random;
  fiber_magazine free_fibers;
  free_list<fiber_stack> free_stacks;
  owned<unsigned> promised_stacks;  // to fibers that have yet to be started
  processor_counters counters;
  run_pace pace;

  alignas(arch::cache_line) next_slot next;
  processor* next_idle = nullptr;  // guarded by idle_set's lock
  run_ring ring;
  timer_heap timers;

  /// The next fiber of this processor's own, or null. Owner only.
  fiber* pop() noexcept {
    if (!next.empty()) {
      if (fiber* f = pop_next()) return f;
    }
    next_in_a_row.set(0);
    if (fiber* f = ring.pop()) return f;
    return next.empty() ? nullptr : pop_next();  // the ring whose turn it was has been stolen from meanwhile
  }

  /// `next`, if its turn has come.
  [[gnu::noinline]] fiber* pop_next() noexcept {
    if (next_in_a_row.get() >= next_budget && ring.size() != 0) return nullptr;
    fiber* f = next.exchange(nullptr);
    if (f != nullptr) next_in_a_row.add(1);
    return f;
  }

  bool has_work() const noexcept { return !next.empty() || ring.size() != 0; }
};

}  // namespace gofer::inline v0::sched
