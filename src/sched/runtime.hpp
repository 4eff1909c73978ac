#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>

#include <gofer/runtime.hpp>

#include "sched/explorer.hpp"
#include "sched/fiber_depot.hpp"
#include "sched/idle_set.hpp"
#include "sched/monitor.hpp"
#include "sched/poller.hpp"
#include "sched/processor.hpp"
#include "sched/shared_queue.hpp"
#include "sched/stack_depot.hpp"
#include "sched/thread.hpp"
#include "sched/worker_threads.hpp"

namespace gofer::inline v0::sched {

/// Everything there is one of. Started by the first use, from any thread; stopped when `main` returns; not destroyed
/// once it has started, because abandoned fibers and late threads may still look at it.
class runtime {
 public:
  static runtime& get() {
    if (runtime* r = instance_.load(std::memory_order_acquire)) [[likely]]
      return *r;
    return start();
  }

  /// The runtime if it has been started, without starting it.
  static runtime* if_started() noexcept { return instance_.load(std::memory_order_acquire); }

  /// Settles the options of the runtime to come. Throws std::logic_error once it has started.
  static void configure(const runtime_options& options);

  /// How many processors there are or would be.
  static unsigned planned_processors() noexcept;

  /// Lets no fiber run any more; waits for those that run to reach a wait, and for all worker threads to end, each for
  /// a while (stop_patience, end_patience). Any thread may call it; the first does it.
  void stop() noexcept;
  bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }

  /// Makes a fiber runnable. In a fiber it runs next, or soon, on the same processor. `t` is the calling thread.
  void make_runnable(thread& t, fiber* f) noexcept {
    if (processor* p = t.proc.get(); p != nullptr && t.running.get() != nullptr) {
      // The waker is likely to wait soon, so what it woke runs next and here, while what they share is in the cache. If
      // it does not wait, the monitor finds another place for the fiber.
      f = p->next.exchange(f);
      if (f != nullptr) make_runnable_soon(*p, f);
      return;
    }
    make_runnable_last(t, f);
  }

  /// Makes a fiber that was woken in another, which runs on `p`, runnable behind the others there.
  void make_runnable_soon(processor& p, fiber* f) noexcept;

  /// Makes a fiber runnable behind the others of this processor.
  void make_runnable_last(thread& t, fiber* f) noexcept;

  /// After work was published: wakes a worker to look for it, unless one is looking.
  void notify() noexcept;

  /// Sets a timer, in nanoseconds of the steady clock. `t` is the calling thread.
  void add_timer(thread& t, timer_entry& entry, std::int64_t when) noexcept;

  /// Takes `count` fiber ids in a row; returns the first.
  std::uint64_t take_ids(std::uint64_t count) noexcept { return ids_.fetch_add(count, std::memory_order_relaxed); }

  /// When the next timer of any processor is due.
  std::int64_t earliest_timer() const noexcept;

  /// True if some queue holds a runnable fiber.
  bool has_work() const noexcept;

  /// Processors: those that there always are come first, then the surplus ones that were ever needed. `i` is below what
  /// known_processors has returned, which orders the processor's making before.
  processor& at(unsigned i) const noexcept { return *processors_[i].load(std::memory_order_relaxed); }
  unsigned processor_count() const noexcept { return processor_count_; }
  unsigned known_processors() const noexcept { return known_.load(std::memory_order_acquire); }
  /// Those that run or may be asked to: all but the surplus ones that have retired.
  unsigned active_processors() const noexcept { return processor_count_ + surplus(); }
  unsigned stack_class() const noexcept { return stack_class_; }

  // A processor that stands still is replaced by a surplus one until it goes on. Its owner side is never touched.

  /// Surplus processors that are not retired.
  unsigned surplus() const noexcept { return surplus_.load(std::memory_order_relaxed); }

  /// For the monitor: lets a surplus processor run in the place of `p`. False: there are as many as there may be.
  bool replace(processor& p) noexcept;

  /// For the owner of a processor that was replaced and goes on: a surplus one retires.
  void resume(processor& p) noexcept;

  /// For the owner of a surplus processor, between two fibers: true if it is to retire.
  bool one_too_many() noexcept;

  /// Retires a surplus processor; called by its owner, which owns none then.
  void retire(processor& p) noexcept;

  /// For the monitor: takes the stacks that idle processors keep for fibers to come.
  void flush_idle() noexcept;

  /// Leaves a processor idle; for its owner, which does not go to sleep itself. Wakes a worker if there is something to
  /// do, or nobody in the poller.
  void leave_idle(processor& p) noexcept;

  /// Takes the block of a fiber back, and the promise of a stack that it had. `p` is the calling thread's processor or
  /// null, here and below.
  void discard(fiber& f, processor* p) noexcept;

  /// Counts one more of `what`.
  void count(processor* p, owned<std::uint64_t> processor_counters::* what) noexcept;

  /// Gives `p` to a worker thread, sleeping or new. `searching`: the worker is already counted as a searcher.
  void run_in_worker(processor* p, bool searching) noexcept;

  shared_queue shared;
  idle_set idle;
  fiber_depot fibers{shared};
  stack_depot stacks;
  poller network;
  monitor watcher;
  processor_counters foreign;        // counted by threads without a processor
  std::atomic<unsigned> workers{0};  // worker threads in run_worker

  /// Time since the start, as somebody read it last: not behind by more than the monitor's longest pause while
  /// anything runs. For what is too frequent for the real clock.
  static constexpr std::chrono::milliseconds clock_unit{5};
  owned<std::uint32_t> coarse_clock;
  /// Sets it right.
  std::uint32_t read_clock() noexcept;
  /// After so many cycles a processor takes its share of the shared queue.
  std::uint64_t between_shares() const noexcept { return between_shares_.get(); }

  /// The fiber that somebody looks at, which must not be woken meanwhile. Announced, then a fence by the rare side;
  /// pairs with the fence in waiter::wake.
  std::atomic<const fiber*> inspected{nullptr};

 private:
  /// Behind the other fibers of this processor, for its owner.
  void enqueue(processor& p, fiber* f) noexcept;
  /// The ring is full: half of it, and one more, go where others find them.
  void share_half(processor& p, fiber* and_this) noexcept;

  void make_runnable_elsewhere(thread& t, fiber* f) noexcept;
  /// A timer became the earliest of its heap.
  void timer_added(std::int64_t when) noexcept;

  explicit runtime(const runtime_options& options);
  ~runtime();
  friend std::default_delete<runtime>;
  static runtime& start();
  bool assign_to_poll_sleeper(processor* p) noexcept;

  static std::atomic<runtime*> instance_;
  arch::spin_lock foreign_lock_;  // of those who add to `foreign`
  const time_point started_ = now();
  const std::uint64_t started_cycles_ = arch::cycles();
  // In cycles, once these have been compared with the clock; before, all is worth a wake, and no share is due.
  owned<std::uint64_t> worth_a_wake_;
  owned<std::uint64_t> between_shares_{std::numeric_limits<std::uint64_t>::max()};
  const unsigned processor_count_;
  const unsigned most_processors_;
  const unsigned stack_class_;
  std::unique_ptr<std::atomic<processor*>[]> processors_;
  std::atomic<unsigned> known_{0};
  std::atomic<unsigned> surplus_{0};
  std::atomic<unsigned> too_many_{0};  // surplus processors that are to retire
  arch::spin_lock retired_lock_;
  processor* retired_ = nullptr;  // linked by next_idle; guarded by retired_lock_
  std::atomic<std::uint64_t> ids_{1};
  std::atomic<bool> stopping_{false};
  worker_threads threads_;
};

/// The body of a worker thread; `first` is the processor it begins with.
void run_worker(runtime& r, processor* first, bool searching) noexcept;

}  // namespace gofer::inline v0::sched
