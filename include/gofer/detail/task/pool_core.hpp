#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>

#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/sched/atomic.hpp>
#include <gofer/detail/sync/wait_list.hpp>
#include <gofer/detail/task/job_queue.hpp>

namespace gofer::inline v0 {

/// What `submit` does when the queue is full.
enum class overflow {
  block,           // wait for room
  reject,          // throw queue_full
  discard_oldest,  // give up the task that has waited longest; its result is the error task_discarded
  caller_runs,     // run the task in the caller
};

struct worker_pool_options {
  /// Shown in reports; the workers are named after it.
  std::string name = "pool";
  /// 0: as many as processors().
  std::size_t min_workers = 0;
  /// 0: min_workers, a pool of fixed size.
  std::size_t max_workers = 0;
  /// Accepted tasks that may wait for a worker; at least 1.
  std::size_t queue_capacity = 100;
  /// Results that may wait before workers wait for the one who receives them.
  std::size_t result_capacity = 100;
  overflow when_full = overflow::block;
  /// A worker is added when the queue is longer than what the workers took from it within this time.
  std::chrono::nanoseconds scale_interval = std::chrono::milliseconds(10);
  /// A worker above the minimum that had nothing to do for this long goes.
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(1);
  /// How often a task that throws is tried.
  std::size_t max_attempts = 1;
  /// Before the second attempt; doubled before each further one, up to max_backoff, less a random part of up to a half.
  std::chrono::nanoseconds backoff = std::chrono::milliseconds(100);
  std::chrono::nanoseconds max_backoff = std::chrono::seconds(10);
  /// After this long a stop is requested of a running task; 0: never.
  std::chrono::nanoseconds task_timeout{0};
  /// Results come in the order of submission, not of completion. Those that are early wait in the pool; so that these
  /// do not pile up behind a slow task, submitters wait (or get queue_full with overflow::reject) while beside the
  /// results that have come queue_capacity + result_capacity + max_workers more tasks are accepted.
  bool ordered = false;
  /// Every result says how long its task waited and ran; else that is sampled, for the percentiles alone.
  bool timed = false;
  /// A task of priority p is taken before those that were submitted up to p times as many before it.
  std::size_t priority_step = 100;
  /// Called after a worker was added or has gone, with the number of workers before and after; not any more once the
  /// pool has been drained or stopped. Must not throw. It counts as one of the pool's tasks, so must not wait for it.
  std::function<void(std::size_t before, std::size_t after)> on_scale = {};
};

/// Upper bounds, within an eighth, of how long half, nine tenths and 99 % of what was sampled took.
struct latency_percentiles {
  std::chrono::nanoseconds p50{0}, p90{0}, p99{0}, max{0};
  std::uint64_t samples = 0;
};

/// One consistent look: submitted = completed + failed + discarded + queued + busy.
struct worker_pool_stats {
  std::size_t workers = 0;
  std::size_t busy = 0;         // tasks being run
  std::size_t queued = 0;       // accepted and waiting: for a worker, or for their next attempt
  std::uint64_t submitted = 0;  // accepted
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;     // threw at their last attempt
  std::uint64_t retried = 0;    // attempts after the first
  std::uint64_t timed_out = 0;  // attempts that were asked to stop after task_timeout
  std::uint64_t rejected = 0;   // not accepted, because the queue was full
  std::uint64_t discarded = 0;  // accepted and given up
  std::uint64_t grown = 0;      // workers added beyond the first ones
  std::uint64_t shrunk = 0;     // workers that went for want of work
  latency_percentiles queue_latency;
  latency_percentiles run_latency;
};

/// A task was submitted to a pool that has been drained or stopped.
class pool_stopped : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A task was not accepted, because the pool's queue is full.
class queue_full : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What became of an accepted task that the pool gave up.
class task_discarded : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace tasks {

/// Counts durations in buckets that grow by eighths of a power of two.
class latency_histogram {
 public:
  void add(std::chrono::nanoseconds d) noexcept;
  latency_percentiles percentiles() const noexcept;

 private:
  std::array<std::uint32_t, 512> buckets_{};
  std::uint64_t count_ = 0;
  std::chrono::nanoseconds max_{0};
};

/// How long a task waits before an attempt from the second on: `first`, doubled for each further one up to `most`, less
/// a part of up to a half that a random number says.
std::chrono::nanoseconds backoff_before(unsigned attempt, std::chrono::nanoseconds first, std::chrono::nanoseconds most,
                                        std::uint64_t random) noexcept;

/// A pool without the types of its tasks: the queue, the workers, their number, the ending, the statistics. Shared by
/// the pool's handle and its fibers.
class pool_core : public std::enable_shared_from_this<pool_core> {
 public:
  /// `close` is called once, when every accepted task is settled and none will be accepted any more; `forget` when the
  /// handle goes and no task runs any more. `of_results` is the lock of the channel of results, or null; what these
  /// refer to keeps it. Throws std::invalid_argument for options that cannot be.
  pool_core(worker_pool_options options, std::function<void()> close, std::function<void()> forget,
            sched::spin_lock* of_results);
  ~pool_core();

  /// Starts the first workers.
  void start();

  /// The first half of accepting a job with neither priority nor key, where nobody has to be woken or waited for. True:
  /// `memory` is where to make it, and the pool's lock is held until `end_submit`. False: another form of submit has to
  /// do it, and `memory` is that of a job that is gone, or null.
  bool begin_submit(void*& memory);
  /// Accepts the job that was made there; returns its id.
  std::uint64_t end_submit(job& made) noexcept;

  /// Accepts a job, or runs it in the caller, as the options say; returns its id. Throws pool_stopped, queue_full; the
  /// job is still the caller's then.
  std::uint64_t submit(job_ptr& j);
  /// The same for all of these, in order; returns the last one's id. When it throws, the one it throws for is gone, and
  /// those behind it stay in the list.
  std::uint64_t submit_all(job_list& jobs);
  /// Memory for jobs to be made in, as far as there is any of jobs that are gone; how many pieces. What is left over is
  /// given back.
  std::size_t take_memory(std::span<void*> into) noexcept;
  void give_memory(std::span<void* const> left_over) noexcept;
  /// False: no room before the limit, and the job is still the caller's.
  bool submit_within(job_ptr& j, const sched::wait_limit& limit);
  /// One of the results that are to be ordered: a task more may be accepted.
  void result_went_out();

  bool drain(const sched::wait_limit& limit);
  void stop();
  /// The pool's handle goes: stop(), and what users gave goes with it. Fibers of workers keep the rest for a moment
  /// more.
  void end() noexcept;
  bool wait_idle(const sched::wait_limit& limit);
  void resize(std::size_t min_workers, std::size_t max_workers);
  /// Whether it is one of this pool's tasks that calls, in a worker or in whom it was submitted by.
  bool called_in_task() const;
  void call_as_task(const std::function<void()>& f) const;
  worker_pool_stats stats() const;

 private:
  using lock = std::unique_lock<sched::spin_lock>;
  static constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();
  struct idle_worker;
  struct waiting_submitter;
  struct run_outcome;

  bool queues_at_once() const noexcept;
  bool accept_at_once(job_ptr& j, std::uint64_t& id) noexcept;
  std::uint64_t submit_otherwise(lock& hold, job_ptr& j);
  std::uint64_t number(job& j) noexcept;
  std::uint64_t accept(job_ptr& j, sync::claimed_list& called);
  std::uint64_t accept_to_run(job& j) noexcept;
  void call_worker(sync::claimed_list& called);
  void wake(sync::claimed_list& called);
  void turn_key(std::uint64_t key);
  bool has_room() const noexcept { return queue_.size() < options_.queue_capacity && in_reach(); }
  bool ordered() const noexcept { return options_.ordered && &lock_ != &own_lock_; }
  bool in_reach() const noexcept { return submitted_ < reach_; }
  std::uint64_t accept_and_call(lock& hold, job_ptr& j);
  std::uint64_t wait_for_room(lock& hold, job_ptr& j, const sched::wait_limit& limit);
  void let_in_submitters(sync::claimed_list& called);
  void done_with(lock& hold, sync::claimed_list& called);
  [[noreturn]] void refuse(lock& hold) const;
  void check_outside(const char* operation) const;
  bool called_in_worker() const;
  void begin_ending(sync::claimed_list& called);
  void discard(job_list dropped, const char* why);
  void add_worker(lock& hold, bool growth);
  void work(std::size_t number);
  job* next_job(sched::spin_lock& pools);
  job* next_job_otherwise();
  job* wait_for_job(lock& hold);
  void* run(job* j, sched::spin_lock& pools);
  run_outcome settle(job* j, bool failed);
  std::uint64_t run_in_caller(lock& hold, job_ptr& j);
  bool attempt(job& j);
  bool attempt_timed(job& j) noexcept;
  bool attempt_within(job& j) noexcept;
  void sample(job& j);
  void* account(const run_outcome& outcome);
  bool retry_later(job* j);
  void retry(job_ptr j);
  void scale();
  bool may_grow() const noexcept { return workers_ < max_workers_ && !scaling_; }
  void report_scale(lock& hold, std::size_t before, std::size_t after) noexcept;
  void close_once(lock& hold);
  bool wait_until_quiet(lock& hold, const char* reason, bool workers_too, const sched::wait_limit& limit);
  std::uint64_t unsettled() const noexcept { return submitted_ - settled_; }
  std::int64_t taken() const noexcept { return static_cast<std::int64_t>(submitted_ - queue_.size()); }
  void settled();
  void tell_quiet();
  /// With the lock, which it gives back for `f`, which must not throw. Whoever ends the pool waits until that has
  /// returned: what it refers to may be gone then.
  template <class F>
  void call_outside(lock& hold, const F& f) {
    ++outside_;
    hold.unlock();
    f();
    hold.lock();
    --outside_;
    tell_quiet();
  }

  worker_pool_options options_;
  const std::function<void()> close_;
  const std::function<void()> forget_;
  // Of a pool with results that of the channel they go through: to put a result, to count its task and to take the next
  // one is a single critical section then. Else own_lock_.
  sched::spin_lock& lock_;

  // Guarded by lock_. First what every task changes, in one cache line:
  alignas(arch::cache_line) sched::spin_lock own_lock_;
  bool ending_ = false;
  bool closed_ = false;
  bool scaling_ = false;  // the scaler runs
  bool calling_ = false;  // a worker has been given a job, and has yet to begin
  std::uint16_t free_count_ = 0;
  std::uint64_t submitted_ = 0;  // accepted
  std::uint64_t settled_ = 0;    // of these, completed, failed or discarded
  job_queue queue_;
  // What it looks at:
  alignas(arch::cache_line) sync::wait_list idle_;  // workers; beside a queue only while one is being called
  sync::wait_list submitters_;                      // not empty only while there is no room
  std::uint64_t reach_ = no_limit;                  // so many tasks may be accepted in all; 0 when it ends
  std::size_t workers_ = 0;
  std::size_t min_workers_;
  std::size_t max_workers_;
  std::size_t delayed_ = 0;    // jobs that wait for their next attempt
  std::size_t stuck_ = 0;      // workers that wait for room in the queue, without a limit
  worker_pool_stats counted_;  // but for what follows from the above
  sync::wait_list quiet_;      // for nothing to be queued or running, or for workers to have gone
  std::size_t numbered_ = 0;   // workers ever started
  std::size_t outside_ = 0;    // who adds a worker, is in on_scale, or closes the results
  std::uint64_t next_random_ = 0;
  latency_histogram waiting_;
  latency_histogram running_time_;
  // Memory of jobs that are gone. Not a list: to follow one is to wait for what another core wrote, with the lock.
  std::array<void*, 256> free_;

  alignas(arch::cache_line) std::stop_source ending_source_;  // results are not waited for any more
  std::stop_source stop_source_;                              // running tasks are asked to stop
  // Kept, because asking for one costs two atomic operations a task.
  const std::stop_token ending_token_ = ending_source_.get_token();
  const std::stop_token stop_token_ = stop_source_.get_token();
};

}  // namespace tasks
}  // namespace gofer::inline v0
