#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include <gofer/runtime.hpp>

#include "sched/fiber_depot.hpp"
#include "sched/idle_set.hpp"
#include "sched/monitor.hpp"
#include "sched/poller.hpp"
#include "sched/processor.hpp"
#include "sched/shared_queue.hpp"

namespace gofer::sched {

/// Everything there is one of. Started by the first use, from any thread; stopped when `main` returns; never destroyed,
/// because abandoned fibers and late threads may still look at it.
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

  /// Lets no fiber run any more; waits, for at most `stop_patience`, for those that run to reach a wait.
  void stop() noexcept;
  bool stopping() const noexcept { return stopping_.load(std::memory_order_acquire); }

  /// Makes a fiber runnable. In a fiber it runs next, or soon, on the same processor.
  void make_runnable(fiber* f) noexcept;

  /// Makes a fiber runnable behind the others of this processor.
  void make_runnable_last(fiber* f) noexcept;

  /// After work was published: wakes a worker to look for it, unless one is looking.
  void notify() noexcept;

  /// After a timer became the earliest of its heap.
  void timer_added(std::int64_t when) noexcept;

  /// Takes `count` fiber ids in a row; returns the first.
  std::uint64_t take_ids(std::uint64_t count) noexcept { return ids_.fetch_add(count, std::memory_order_relaxed); }

  /// When the next timer of any processor is due.
  std::int64_t earliest_timer() const noexcept;

  /// True if some queue holds a runnable fiber.
  bool has_work() const noexcept;

  processor& at(unsigned i) noexcept { return processors_[i]; }
  unsigned processor_count() const noexcept { return processor_count_; }
  std::size_t stack_size() const noexcept { return stack_size_; }

  /// Gives `p` to a worker thread, sleeping or new. `searching`: the worker is already counted as a searcher.
  void run_in_worker(processor* p, bool searching) noexcept;

  shared_queue shared;
  idle_set idle;
  fiber_depot depot;
  poller network;
  monitor watcher;
  processor_counters foreign;        // counted by threads without a processor
  arch::spin_lock foreign_lock;      // guards it
  std::atomic<unsigned> workers{0};  // worker threads that have not ended

 private:
  runtime();
  static runtime& start();
  bool assign_to_poll_sleeper(processor* p) noexcept;

  static std::atomic<runtime*> instance_;
  unsigned processor_count_;
  std::size_t stack_size_;
  std::unique_ptr<processor[]> processors_;
  std::atomic<std::uint64_t> ids_{1};
  std::atomic<bool> stopping_{false};
};

/// The body of a worker thread; `first` is the processor it begins with.
void run_worker(runtime& r, processor* first, bool searching) noexcept;

}  // namespace gofer::sched
