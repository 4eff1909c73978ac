// A pool's beginning and end, and what is seen of it. Submitting and the workers have files of their own.

#include <gofer/detail/task/pool_core.hpp>

#include <algorithm>
#include <mutex>
#include <utility>

#include <gofer/detail/sched/insist.hpp>
#include <gofer/go.hpp>
#include <gofer/runtime.hpp>
#include <gofer/worker_pool.hpp>

namespace gofer::inline v0::tasks {

std::string message_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "unknown exception";
  }
}

pool_core::pool_core(worker_pool_options options, std::function<void()> close, std::function<void()> forget,
                     sched::spin_lock* of_results)
    : options_(std::move(options)),
      close_(std::move(close)),
      forget_(std::move(forget)),
      lock_(of_results != nullptr ? *of_results : own_lock_),
      queue_(options_.priority_step) {
  min_workers_ = options_.min_workers != 0 ? options_.min_workers : processors();
  max_workers_ = options_.max_workers != 0 ? options_.max_workers : min_workers_;
  const auto refuse = [&](const std::string& what) {
    throw std::invalid_argument("worker_pool \"" + options_.name + "\": " + what);
  };
  if (max_workers_ < min_workers_) {
    refuse("max_workers is " + std::to_string(max_workers_) + ", less than min_workers, " +
           std::to_string(min_workers_));
  }
  if (options_.queue_capacity == 0) refuse("queue_capacity has to be at least 1");
  if (options_.max_attempts == 0) refuse("max_attempts has to be at least 1");
  if (options_.priority_step > 1'000'000'000) refuse("priority_step has to be at most 1,000,000,000");
  if (options_.scale_interval <= options_.scale_interval.zero()) refuse("scale_interval has to be positive");
  constexpr std::size_t plenty = std::size_t{1} << 60;
  if (ordered())
    reach_ = std::min(options_.queue_capacity, plenty) + std::min(options_.result_capacity, plenty) + max_workers_;
}

pool_core::~pool_core() {
  while (free_count_ != 0) ::operator delete(free_[--free_count_]);
}

void pool_core::start() {
  try {
    lock hold(lock_);
    while (workers_ < min_workers_) add_worker(hold, false);
  } catch (...) {
    stop();  // the others go
    throw;
  }
}

/// For what comes after the end.
void pool_core::refuse(lock& hold) const {
  hold.unlock();
  throw pool_stopped("worker_pool \"" + options_.name + "\": it has been drained or stopped");
}

/// A wait for the pool in one of its own tasks would never end.
void pool_core::check_outside(const char* operation) const {
  if (!called_in_task()) return;
  throw std::logic_error("worker_pool \"" + options_.name + "\": " + operation +
                         " was called in a task of the same pool, and would wait for that task");
}

/// Gives the lock back, wakes whom the caller called while it had it, and starts the scaler if there is something for
/// it.
void pool_core::done_with(lock& hold, sync::claimed_list& called) {
  if (!may_grow() || ending_ || queue_.empty()) [[likely]] {
    hold.unlock();
    return called.wake();
  }
  scaling_ = true;
  hold.unlock();
  called.wake();
  try {
    go(go_options{.name = options_.name + "/scaler"}, [self = shared_from_this()] { self->scale(); });
  } catch (...) {  // out of memory: another will try
    const lock again(lock_);
    scaling_ = false;
  }
}

/// Keeps the lock but for that.
void pool_core::wake(sync::claimed_list& called) {
  if (called.empty()) return;
  lock_.unlock();
  called.wake();
  lock_.lock();
}

/// When nothing is queued or running any more: tells those who wait for that.
void pool_core::settled() {
  sync::claimed_list called;
  quiet_.claim_all(called);
  if (ending_) idle_.claim_all(called);
  wake(called);
}

/// When there is less to wait for: those who do may look. Keeps the lock but for that.
void pool_core::tell_quiet() {
  sync::claimed_list called;
  quiet_.claim_all(called);
  wake(called);
}

/// With the lock.
void pool_core::begin_ending(sync::claimed_list& called) {
  if (ending_) return;
  ending_ = true;
  reach_ = 0;
  idle_.claim_all(called);
  submitters_.claim_all(called);
}

/// With the lock: waits until nothing is queued or running, and, if asked for, the workers have gone and nobody is
/// outside any more. False: the limit came first.
bool pool_core::wait_until_quiet(lock& hold, const char* reason, bool workers_too, const sched::wait_limit& limit) {
  const auto over = [&] { return unsettled() == 0 && (!workers_too || (workers_ == 0 && outside_ == 0)); };
  while (!over()) {
    sched::waiter self(reason, this, limit);
    sync::wait_node me(self);
    quiet_.push_back(me);
    hold.unlock();
    const bool called = self.wait() == sched::waiter::woken;
    hold.lock();
    if (called) continue;
    quiet_.remove(me);
    return over();
  }
  return true;
}

/// When all is settled, with the lock, which it gives back meanwhile: closes the results, the first time.
void pool_core::close_once(lock& hold) {
  if (!std::exchange(closed_, true)) call_outside(hold, close_);
}

bool pool_core::drain(const sched::wait_limit& limit) {
  check_outside("drain");
  sched::point("worker_pool::drain", this);
  sync::claimed_list called;
  lock hold(lock_);
  begin_ending(called);
  hold.unlock();
  called.wake();
  ending_source_.request_stop();
  if (sched::stopped()) return false;  // after main: the workers are gone
  hold.lock();
  if (!wait_until_quiet(hold, "worker_pool::drain", true, limit)) {
    hold.unlock();
    stop();
    return false;
  }
  close_once(hold);
  return true;
}

void pool_core::stop() {
  check_outside("stop");
  sched::point("worker_pool::stop", this);
  sync::claimed_list called;
  lock hold(lock_);
  begin_ending(called);
  // Taken before anything is asked to stop: a worker that stops early must not begin one of these.
  job_list dropped = queue_.take_all();
  hold.unlock();
  called.wake();
  ending_source_.request_stop();
  stop_source_.request_stop();
  discard(std::move(dropped), "stopped before it was run");
  if (sched::stopped()) return;  // after main: the workers are gone
  hold.lock();
  wait_until_quiet(hold, "worker_pool::stop", true, sched::for_ever);
  close_once(hold);
}

void pool_core::end() noexcept {
  stop();
  if (sched::stopped()) return;  // after main: a worker may still be in what it was given
  options_.on_scale = nullptr;
  forget_();
}

/// Settles jobs that are neither queued nor run any more.
void pool_core::discard(job_list dropped, const char* why) {
  if (dropped.empty()) return;
  const auto error = sched::insist(
      [&] { return std::make_exception_ptr(task_discarded("worker_pool \"" + options_.name + "\": " + why)); });
  while (!dropped.empty()) {
    job* j = dropped.pop_front();
    j->error = error;
    const bool keyed = j->keyed;
    const std::uint64_t key = keyed ? j->details().key : 0;
    ::operator delete(j->settle(ending_token_));
    const lock hold(lock_);
    if (keyed) turn_key(key);
    ++settled_;
    ++counted_.discarded;
    if (unsettled() == 0) settled();
  }
}

bool pool_core::wait_idle(const sched::wait_limit& limit) {
  check_outside("wait_idle");
  sched::point("worker_pool::wait_idle", this);
  lock hold(lock_);
  return wait_until_quiet(hold, "worker_pool::wait_idle", false, limit);
}

void pool_core::resize(std::size_t min_workers, std::size_t max_workers) {
  if (min_workers == 0) min_workers = processors();
  if (max_workers == 0) max_workers = min_workers;
  if (max_workers < min_workers) {
    throw std::invalid_argument("worker_pool::resize: max_workers is " + std::to_string(max_workers) +
                                ", less than min_workers, " + std::to_string(min_workers));
  }
  sync::claimed_list called;
  lock hold(lock_);
  min_workers_ = min_workers;
  if (ordered() && !ending_) reach_ += max_workers - max_workers_;
  max_workers_ = max_workers;
  idle_.claim_all(called);  // those above the new bounds go
  wake(called);
  while (!ending_ && workers_ < min_workers_) add_worker(hold, true);
  done_with(hold, called);
}

worker_pool_stats pool_core::stats() const {
  lock hold(lock_);
  worker_pool_stats s = counted_;
  s.workers = workers_;
  s.queued = queue_.size() + delayed_;
  s.submitted = submitted_;
  s.busy = unsettled() - s.queued;
  s.completed = settled_ - s.failed - s.discarded;
  const latency_histogram waiting = waiting_;
  const latency_histogram running_time = running_time_;
  hold.unlock();
  s.queue_latency = waiting.percentiles();
  s.run_latency = running_time.percentiles();
  return s;
}

}  // namespace gofer::inline v0::tasks
