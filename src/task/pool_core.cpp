#include <gofer/detail/task/pool_core.hpp>

#include <algorithm>
#include <mutex>

#include <gofer/go.hpp>
#include <gofer/runtime.hpp>
#include <gofer/time.hpp>
#include <gofer/worker_pool.hpp>

#include "sched/runtime.hpp"

namespace gofer {
namespace {

/// Who runs a task, for this_worker and to refuse waits for oneself.
struct worker_identity {
  const tasks::pool_core* pool = nullptr;
  std::size_t number = 0;
};

worker_identity& identity() {
  static fiber_local<worker_identity> own;
  return *own;
}

/// One task in so many is timed in a pool that is not `timed`.
constexpr std::uint64_t sampled = 64;

}  // namespace

std::size_t this_worker::number() noexcept { return identity().number; }

namespace tasks {

std::string message_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "unknown exception";
  }
}

pool_core::pool_core(worker_pool_options options, std::function<void()> close)
    : options_(std::move(options)), close_(std::move(close)) {
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
  if (options_.scale_interval <= options_.scale_interval.zero()) refuse("scale_interval has to be positive");
}

void pool_core::start() {
  lock hold(lock_);
  while (workers_ < min_workers_) add_worker(hold, false);
}

void pool_core::check_open() const {
  if (ending_) throw pool_stopped("worker_pool \"" + options_.name + "\": it has been drained or stopped");
}

/// A wait for the pool in one of its own tasks would never end.
void pool_core::check_outside(const char* operation) const {
  if (identity().pool != this) return;
  throw std::logic_error("worker_pool \"" + options_.name + "\": " + operation +
                         " was called in a task of the same pool, and would wait for that task");
}

void pool_core::accept(std::unique_ptr<job> j, bool into_queue) {
  j->id = ++counted_.submitted;
  j->timed = options_.timed || j->id % sampled == 0;
  if (j->timed) j->accepted = sched::now();
  if (!into_queue) return;
  queue_.push_back(std::move(j));
  if (idle_ != 0) work_.notify_one();
}

std::uint64_t pool_core::submit(std::unique_ptr<job>& j) {
  lock hold(lock_);
  check_open();
  if (queue_.size() >= options_.queue_capacity) {
    switch (options_.when_full) {
      case overflow::block:
        room_.wait(hold, [&] { return ending_ || queue_.size() < options_.queue_capacity; });
        check_open();
        break;
      case overflow::reject:
        ++counted_.rejected;
        throw queue_full("worker_pool \"" + options_.name + "\": the queue holds " + std::to_string(queue_.size()) +
                         " tasks and is full");
      case overflow::discard_oldest: {
        std::deque<std::unique_ptr<job>> oldest;
        oldest.push_back(std::move(queue_.front()));
        queue_.pop_front();
        ++running_;  // until it is settled
        hold.unlock();
        discard(oldest, "discarded for a newer task");
        hold.lock();
        check_open();
        break;
      }
      case overflow::caller_runs: {
        j->id = ++counted_.submitted;
        const std::uint64_t id = j->id;
        ++running_;
        run(hold, std::move(j));
        return id;
      }
    }
  }
  accept(std::move(j), true);
  const std::uint64_t id = counted_.submitted;
  start_scaler(hold);
  return id;
}

bool pool_core::submit_within(std::unique_ptr<job>& j, const sched::wait_limit& limit) {
  lock hold(lock_);
  check_open();
  const auto ready = [&] { return ending_ || queue_.size() < options_.queue_capacity; };
  if (!ready()) {
    const bool patient = limit.deadline != sched::time_point::min();
    if (!patient || !room_.wait_until(hold, limit.deadline, ready)) {
      ++counted_.rejected;
      return false;
    }
  }
  check_open();
  accept(std::move(j), true);
  start_scaler(hold);
  return true;
}

void pool_core::add_worker(lock& hold, bool growth) {
  const std::size_t before = workers_++;
  const std::size_t number = ++numbered_;
  if (growth) ++counted_.grown;
  const std::string name = options_.name + "/" + std::to_string(number);
  hold.unlock();
  try {
    go(go_options{.name = name}, [self = shared_from_this(), number] { self->work(number); });
  } catch (...) {
    hold.lock();
    --workers_;
    if (growth) --counted_.grown;
    throw;
  }
  if (growth) report_scale(before, before + 1);
  hold.lock();
}

void pool_core::report_scale(std::size_t before, std::size_t after) {
  if (options_.on_scale) options_.on_scale(before, after);
}

/// The life of a worker.
void pool_core::work(std::size_t number) {
  identity() = {.pool = this, .number = number};
  lock hold(lock_);
  std::unique_ptr<job> j;
  while (next_job(hold, j)) {
    run(hold, std::move(j));
  }
  const std::size_t after = --workers_;
  const bool shrank = !ending_;
  if (shrank) ++counted_.shrunk;
  quiet_.notify_all();
  hold.unlock();
  if (shrank) report_scale(after + 1, after);
}

/// Takes the next job; false: the worker is to go.
bool pool_core::next_job(lock& hold, std::unique_ptr<job>& j) {
  for (;;) {
    if (workers_ > max_workers_ && !ending_) {  // resized
      if (!queue_.empty()) work_.notify_one();  // this worker may have been called for a job
      return false;
    }
    if (!queue_.empty()) break;
    // What runs may fail and want another attempt; where a caller runs it, no worker is there but those that stay.
    if (ending_ && unsettled() == 0) return false;
    ++idle_;
    bool called = true;
    if (workers_ > min_workers_) {
      called = work_.wait_for(hold, options_.idle_timeout) == std::cv_status::no_timeout;
    } else {
      work_.wait(hold);
    }
    --idle_;
    if (!called && queue_.empty() && !ending_ && workers_ > min_workers_) return false;
  }
  j = std::move(queue_.front());
  queue_.pop_front();
  ++taken_;
  ++running_;
  room_.notify_one();
  start_scaler(hold);  // at the submits the workers may have been idle still, and only slow to come
  return true;
}

std::exception_ptr pool_core::attempt(job& j) {
  ++j.attempts;
  const sched::time_point begin = j.timed ? sched::now() : sched::time_point();
  std::exception_ptr error;
  if (options_.task_timeout.count() == 0) {
    error = j.attempt(stop_token_);
  } else {
    std::stop_source of_task;
    const timer limit(options_.task_timeout, [of_task]() mutable { of_task.request_stop(); });
    const auto forward = [&] { of_task.request_stop(); };
    const std::stop_callback<decltype(forward)> of_pool(stop_token_, forward);
    error = j.attempt(of_task.get_token());
  }
  if (j.timed) j.ran += sched::now() - begin;
  return error;
}

/// Runs a job that was taken and counted as running; without the lock, in between.
void pool_core::run(lock& hold, std::unique_ptr<job> j) {
  hold.unlock();
  const bool first = j->attempts == 0;
  if (j->timed && first && j->accepted != sched::time_point()) j->waited = sched::now() - j->accepted;
  std::exception_ptr error = attempt(*j);
  const bool again = error != nullptr && j->attempts < options_.max_attempts;
  if (again) {
    hold.lock();
    if (!stop_source_.stop_requested()) {
      --running_;
      ++delayed_;
      ++counted_.retried;
      hold.unlock();
      retry_later(std::move(j));
      hold.lock();
      return;
    }
    hold.unlock();
  }
  const bool failed = error != nullptr;
  const bool timed = j->timed;
  const auto waited = j->waited;
  const auto ran = j->ran;
  j->settle(std::move(error), ending_token_);
  j.reset();
  hold.lock();
  --running_;
  ++(failed ? counted_.failed : counted_.completed);
  if (timed) {
    waiting_.add(waited);
    running_time_.add(ran);
  }
  settled(hold);
}

/// After something has left the queue and the workers: tells those who wait for that.
void pool_core::settled(const lock& /*hold*/) {
  if (unsettled() != 0) return;
  if (ending_) work_.notify_all();
  quiet_.notify_all();
}

std::chrono::nanoseconds pool_core::backoff_before(unsigned attempt) noexcept {
  auto delay = options_.backoff;
  for (unsigned i = 2; i < attempt && delay < options_.max_backoff; ++i) delay *= 2;
  delay = std::min(delay, options_.max_backoff);
  next_random_ = next_random_ * 6364136223846793005ULL + 1442695040888963407ULL;
  return delay - delay / 2 * static_cast<std::int64_t>(next_random_ >> 40) / (std::int64_t{1} << 24);
}

void pool_core::retry_later(std::unique_ptr<job> j) {
  go(go_options{.name = options_.name + "/retry"}, [self = shared_from_this(), j = std::move(j)]() mutable {
    lock hold(self->lock_);
    const auto delay = self->backoff_before(j->attempts + 1);
    hold.unlock();
    const bool waited = sleep_for(delay, self->stop_token_);
    if (!waited) {
      j->settle(std::make_exception_ptr(
                    task_discarded("worker_pool \"" + self->options_.name + "\": stopped before the next attempt")),
                self->ending_token_);
      j.reset();
    }
    hold.lock();
    --self->delayed_;
    if (waited) {
      self->queue_.push_front(std::move(j));  // it has waited longest
      self->work_.notify_one();
    } else {
      ++self->counted_.discarded;
      self->settled(hold);
    }
  });
}

void pool_core::start_scaler(const lock& /*hold*/) {
  if (scaling_ || ending_ || idle_ != 0 || queue_.empty() || workers_ >= max_workers_) return;
  scaling_ = true;
  go(go_options{.name = options_.name + "/scaler"}, [self = shared_from_this()] { self->scale(); });
}

/// Adds workers while the queue is longer than what they take in an interval; ends when they keep up.
void pool_core::scale() {
  lock hold(lock_);
  while (!ending_ && !queue_.empty() && workers_ < max_workers_) {
    const std::uint64_t taken_before = taken_;
    hold.unlock();
    sleep_for(options_.scale_interval, ending_token_);
    hold.lock();
    if (ending_ || workers_ >= max_workers_ || queue_.size() <= taken_ - taken_before) continue;
    add_worker(hold, true);
  }
  scaling_ = false;
}

void pool_core::begin_ending(const lock& /*hold*/) {
  if (ending_) return;
  ending_ = true;
  work_.notify_all();
  room_.notify_all();
}

bool pool_core::drain(const sched::wait_limit& limit) {
  check_outside("drain");
  lock hold(lock_);
  begin_ending(hold);
  hold.unlock();
  ending_source_.request_stop();
  if (sched::stopped()) return false;  // after main: the workers are gone
  hold.lock();
  const auto over = [&] { return unsettled() == 0 && workers_ == 0; };
  bool in_time = false;
  if (limit.stoppable()) {
    in_time = quiet_.wait(hold, *limit.stop, over);
  } else if (limit.deadline != sched::no_deadline) {
    in_time = quiet_.wait_until(hold, limit.deadline, over);
  } else {
    quiet_.wait(hold, over);
    in_time = true;
  }
  if (!in_time) {
    hold.unlock();
    stop();
    return false;
  }
  if (!std::exchange(closed_, true)) close_();
  return true;
}

void pool_core::stop() {
  check_outside("stop");
  lock hold(lock_);
  begin_ending(hold);
  // Taken before anything is asked to stop: a worker that stops early must not begin one of these.
  std::deque<std::unique_ptr<job>> dropped = std::exchange(queue_, {});
  running_ += dropped.size();  // until they are settled
  hold.unlock();
  ending_source_.request_stop();
  stop_source_.request_stop();
  discard(dropped, "stopped before it was run");
  hold.lock();
  if (sched::stopped()) return;  // after main: the workers are gone
  quiet_.wait(hold, [&] { return unsettled() == 0 && workers_ == 0; });
  if (!std::exchange(closed_, true)) close_();
}

/// Settles jobs that were taken from the queue and counted as running.
void pool_core::discard(std::deque<std::unique_ptr<job>>& dropped, const char* why) {
  const auto error = std::make_exception_ptr(task_discarded("worker_pool \"" + options_.name + "\": " + why));
  for (std::unique_ptr<job>& j : dropped) {
    j->settle(error, ending_token_);
    j.reset();
    const lock hold(lock_);
    --running_;
    ++counted_.discarded;
    settled(hold);
  }
}

void pool_core::wait_idle() {
  check_outside("wait_idle");
  lock hold(lock_);
  quiet_.wait(hold, [&] { return unsettled() == 0; });
}

void pool_core::resize(std::size_t min_workers, std::size_t max_workers) {
  if (min_workers == 0) min_workers = processors();
  if (max_workers == 0) max_workers = min_workers;
  if (max_workers < min_workers) {
    throw std::invalid_argument("worker_pool::resize: max_workers is " + std::to_string(max_workers) +
                                ", less than min_workers, " + std::to_string(min_workers));
  }
  lock hold(lock_);
  min_workers_ = min_workers;
  max_workers_ = max_workers;
  while (!ending_ && workers_ < min_workers_) add_worker(hold, true);
  work_.notify_all();  // those above the new bounds go
  start_scaler(hold);
}

worker_pool_stats pool_core::stats() const {
  const lock hold(lock_);
  worker_pool_stats s = counted_;
  s.workers = workers_;
  s.busy = running_;
  s.queued = queue_.size() + delayed_;
  s.queue_latency = waiting_.percentiles();
  s.run_latency = running_time_.percentiles();
  return s;
}

}  // namespace tasks
}  // namespace gofer
