#include <gofer/detail/task/pool_core.hpp>

#include <algorithm>
#include <mutex>

#include <gofer/go.hpp>
#include <gofer/runtime.hpp>
#include <gofer/time.hpp>
#include <gofer/worker_pool.hpp>

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

struct pool_core::idle_worker : sync::wait_node {
  using wait_node::wait_node;
  job* given = nullptr;  // none when it was called: to look again
};

struct pool_core::waiting_submitter : sync::wait_node {
  waiting_submitter(sched::waiter& w, job_ptr& j) noexcept : wait_node(w), brought(j) {}
  job_ptr& brought;
  std::uint64_t id = 0;    // once it is accepted; when it was called without: the pool ends, or
  bool no_memory = false;  // that
};

/// What there is to count of a run.
struct pool_core::run_outcome {
  enum : std::uint8_t { completed, failed, delayed } what = completed;
  bool keyed = false;
  std::uint64_t key = 0;
  void* memory = nullptr;  // of the job that is gone
};

pool_core::pool_core(worker_pool_options options, std::function<void()> close)
    : options_(std::move(options)), close_(std::move(close)), queue_(options_.priority_step) {
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
}

pool_core::~pool_core() {
  ::operator delete(spare_.load(std::memory_order_acquire));
  while (free_count_ != 0) ::operator delete(free_[--free_count_]);
}

void pool_core::start() {
  lock hold(lock_);
  while (workers_ < min_workers_) add_worker(hold, false);
}

/// For what comes after the end.
void pool_core::refuse(lock& hold) const {
  hold.unlock();
  throw pool_stopped("worker_pool \"" + options_.name + "\": it has been drained or stopped");
}

/// A wait for the pool in one of its own tasks would never end.
void pool_core::check_outside(const char* operation) const {
  if (identity().pool != this) return;
  throw std::logic_error("worker_pool \"" + options_.name + "\": " + operation +
                         " was called in a task of the same pool, and would wait for that task");
}

/// With the lock: the id of a job that is accepted.
inline std::uint64_t pool_core::number(job& j) noexcept {
  const std::uint64_t id = ++submitted_;
  j.id = id;
  j.timed = options_.timed || id % sampled == 0;
  if (j.timed) j.accepted = sched::now();
  return id;
}

/// With the lock: puts the job into the queue. Throws std::bad_alloc, and has not accepted it then.
std::uint64_t pool_core::accept(job_ptr& j, sync::claimed_list& called) {
  const std::uint64_t id = number(*j);
  try {
    queue_.push(j);
  } catch (...) {
    --submitted_;
    throw;
  }
  call_worker(called);
  return id;
}

/// With the lock: gives the first job to a worker that has nothing to do, if there are both. Workers are called one
/// after another, each by the one before: of short tasks one may do all before a second is there.
void pool_core::call_worker(sync::claimed_list& called) {
  if (calling_ || queue_.empty()) return;
  sync::wait_node* first = idle_.claim_first();
  if (first == nullptr) return;
  static_cast<idle_worker*>(first)->given = queue_.pop();
  called.push(*first);
  calling_ = true;
}

/// With the lock, after a job has left the queue.
void pool_core::let_in_submitters(sync::claimed_list& called) {
  while (queue_.size() < options_.queue_capacity) {
    sync::wait_node* first = submitters_.claim_first();
    if (first == nullptr) return;
    auto& submitter = static_cast<waiting_submitter&>(*first);
    try {
      submitter.id = accept(submitter.brought, called);
    } catch (const std::bad_alloc&) {
      submitter.no_memory = true;
    }
    called.push(submitter);
  }
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

/// With the lock, which it gives back if it accepts the job: the job's id. 0: the queue is full. Throws pool_stopped.
std::uint64_t pool_core::accept_if_it_fits(lock& hold, job_ptr& j) {
  if (ending_) refuse(hold);
  if (queue_.size() >= options_.queue_capacity) return 0;
  sync::claimed_list called;
  const std::uint64_t id = accept(j, called);
  done_with(hold, called);
  return id;
}

/// With a full queue, and the lock: waits until the job is accepted; its id. 0: the time was up. Throws pool_stopped,
/// and queue_full if nobody would be left to make room.
std::uint64_t pool_core::wait_for_room(lock& hold, job_ptr& j, const sched::wait_limit& limit) {
  const bool stuck = identity().pool == this && !limit.bounded();
  if (stuck && stuck_ + 1 >= max_workers_) {
    ++counted_.rejected;
    hold.unlock();
    throw queue_full("worker_pool \"" + options_.name +
                     "\": the queue is full, and every worker would wait for room in it, in tasks that submit to their "
                     "own pool; overflow::caller_runs lets them run such tasks themselves");
  }
  stuck_ += stuck ? 1 : 0;
  sched::waiter self("worker_pool::submit", this, limit);
  waiting_submitter me(self, j);
  submitters_.push_back(me);
  hold.unlock();
  const bool called = self.wait() == sched::waiter::woken;
  hold.lock();
  stuck_ -= stuck ? 1 : 0;
  if (!called) {
    submitters_.remove(me);
    return 0;
  }
  if (me.no_memory) throw std::bad_alloc();
  if (me.id == 0) refuse(hold);
  return me.id;
}

/// With the lock: whether a job is accepted into the queue, and nobody has to be told.
inline bool pool_core::queues_at_once(const job& j) const noexcept {
  const bool calls = !idle_.empty() && !calling_;
  return queue_.size() < options_.queue_capacity && !ending_ && !calls && !may_grow() && job_queue::plain(j);
}

std::uint64_t pool_core::submit(job_ptr& j) {
  sched::point("worker_pool::submit", this);
  lock hold(lock_);
  if (!queues_at_once(*j)) [[unlikely]]
    return submit_otherwise(hold, j);
  const std::uint64_t id = number(*j);
  queue_.push(j);
  if (free_count_ != 0 && spare_.load(std::memory_order_relaxed) == nullptr) {  // for the next
    spare_.store(free_[--free_count_], std::memory_order_release);
  }
  return id;
}

std::uint64_t pool_core::submit_all(job_list& jobs) {
  sched::point("worker_pool::submit", this);
  std::uint64_t last = 0;
  lock hold(lock_);
  while (!jobs.empty()) {
    job_ptr j(jobs.pop_front());
    if (queues_at_once(*j)) [[likely]] {
      last = number(*j);
      queue_.push(j);
      continue;
    }
    last = submit_otherwise(hold, j);
    if (!hold.owns_lock()) hold.lock();
  }
  return last;
}

/// Where somebody has to be woken, or the queue is full. Comes back with the lock or without.
std::uint64_t pool_core::submit_otherwise(lock& hold, job_ptr& j) {
  if (const std::uint64_t id = accept_if_it_fits(hold, j); id != 0) return id;
  switch (options_.when_full) {
    case overflow::block:
      break;
    case overflow::reject: {
      ++counted_.rejected;
      const std::size_t queued = queue_.size();
      hold.unlock();
      throw queue_full("worker_pool \"" + options_.name + "\": the queue holds " + std::to_string(queued) +
                       " tasks and is full");
    }
    case overflow::discard_oldest: {
      sync::claimed_list called;
      const std::uint64_t id = accept(j, called);  // beyond the capacity, for a moment
      job_list oldest;
      oldest.push_back(job_ptr(queue_.pop_oldest()));
      done_with(hold, called);
      discard(std::move(oldest), "discarded for a newer task");
      return id;
    }
    case overflow::caller_runs: {
      if (j->keyed) break;  // it may not be its turn
      const std::uint64_t id = j->id = ++submitted_;
      hold.unlock();
      const run_outcome outcome = run(j.release());
      hold.lock();
      void* surplus = account(hold, outcome);
      hold.unlock();
      ::operator delete(surplus);
      return id;
    }
  }
  return wait_for_room(hold, j, sched::for_ever);
}

bool pool_core::submit_within(job_ptr& j, const sched::wait_limit& limit) {
  sched::point("worker_pool::try_submit", this);
  lock hold(lock_);
  if (accept_if_it_fits(hold, j) != 0) return true;
  const bool patient = limit.deadline != sched::time_point::min();
  if (patient && wait_for_room(hold, j, limit) != 0) return true;
  ++counted_.rejected;
  return false;
}

void pool_core::add_worker(lock& hold, bool growth) {
  const std::size_t before = workers_++;
  const std::size_t number = ++numbered_;
  if (growth) ++counted_.grown;
  hold.unlock();
  try {
    go(go_options{.name = options_.name + "/" + std::to_string(number)},
       [self = shared_from_this(), number] { self->work(number); });
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
  void* surplus = nullptr;
  lock hold(lock_);
  while (job* j = next_job(hold)) {
    if (surplus != nullptr) ::operator delete(surplus);
    const run_outcome outcome = run(j);
    sched::point("worker_pool: a task is done", this);
    hold.lock();
    surplus = account(hold, outcome);
  }
  const std::size_t after = --workers_;
  const bool shrank = !ending_;
  if (shrank) ++counted_.shrunk;
  sync::claimed_list called;
  quiet_.claim_all(called);
  hold.unlock();
  called.wake();
  ::operator delete(surplus);
  if (shrank) report_scale(after + 1, after);
}

/// Called with the lock: the next job, without the lock; or, with it, null, when the worker is to go.
inline job* pool_core::next_job(lock& hold) {
  if (queue_.empty() || !submitters_.empty() || workers_ != max_workers_) [[unlikely]]
    return next_job_otherwise(hold);
  job* j = queue_.pop();
  hold.unlock();
  return j;
}

/// Where somebody has to be woken, there is nothing to do, or the number of workers changes.
job* pool_core::next_job_otherwise(lock& hold) {
  for (;;) {
    if (workers_ > max_workers_ && !ending_) return nullptr;  // resized
    if (!queue_.empty()) {
      sync::claimed_list called;
      job* j = queue_.pop();
      let_in_submitters(called);
      done_with(hold, called);
      return j;
    }
    // What runs may fail and want another attempt; where a caller runs it, no worker is there but those that stay.
    if (ending_ && unsettled() == 0) return nullptr;
    const bool surplus = workers_ > min_workers_;
    const sched::wait_limit limit{.deadline =
                                      surplus ? sched::deadline_after(options_.idle_timeout) : sched::no_deadline};
    sched::waiter self("worker_pool: waiting for a task", this, limit);
    idle_worker me(self);
    idle_.push_front(me);  // the one that came last is the warmest, and those that are not needed get to their timeout
    hold.unlock();
    const bool called = self.wait() == sched::waiter::woken;
    hold.lock();
    if (me.given != nullptr) {
      sync::claimed_list called_on;
      calling_ = false;
      call_worker(called_on);
      let_in_submitters(called_on);
      done_with(hold, called_on);
      return me.given;
    }
    if (called) continue;
    idle_.remove(me);
    if (queue_.empty() && !ending_ && workers_ > min_workers_) return nullptr;
  }
}

/// Runs a job that was taken, and settles it, or has it tried again later. Without the lock.
inline pool_core::run_outcome pool_core::run(job* j) {
  std::exception_ptr error = attempt(*j);
  const bool failed = error != nullptr;
  if (failed && j->attempts < options_.max_attempts && !stop_source_.stop_requested() && retry_later(j)) {
    return {.what = run_outcome::delayed};
  }
  if (j->timed) sample(*j);
  run_outcome outcome{.what = failed ? run_outcome::failed : run_outcome::completed, .keyed = j->keyed, .key = j->key};
  outcome.memory = j->settle(error, ending_token_);
  return outcome;
}

inline std::exception_ptr pool_core::attempt(job& j) {
  ++j.attempts;
  if (j.timed || options_.task_timeout.count() != 0) [[unlikely]]
    return attempt_timed(j);
  return j.attempt(stop_token_);
}

/// An attempt that is timed, or limited in time.
std::exception_ptr pool_core::attempt_timed(job& j) {
  const sched::time_point begin = sched::now();
  if (j.attempts == 1 && j.accepted != sched::time_point()) j.waited = begin - j.accepted;
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

/// For the percentiles.
void pool_core::sample(const job& j) {
  const lock hold(lock_);
  waiting_.add(j.waited);
  running_time_.add(j.ran);
}

/// Counts what became of a job that ran. Keeps the lock, but for telling those who wait for the pool to be quiet.
/// Returns memory that is to be freed without the lock.
inline void* pool_core::account(lock& hold, const run_outcome& outcome) {
  if (outcome.what == run_outcome::delayed) [[unlikely]]
    return nullptr;  // counted already
  ++settled_;
  if (outcome.what == run_outcome::failed) ++counted_.failed;
  void* surplus = outcome.memory;
  if (surplus != nullptr && free_count_ < free_.size()) free_[free_count_++] = std::exchange(surplus, nullptr);
  if (outcome.keyed) [[unlikely]]
    turn_key(hold, outcome.key);
  if (unsettled() == 0) [[unlikely]]
    settled(hold);
  return surplus;
}

/// Keeps the lock but for that.
void pool_core::wake(lock& hold, sync::claimed_list& called) {
  if (called.empty()) return;
  hold.unlock();
  called.wake();
  hold.lock();
}

/// With the lock: the task of that key is over, and the next one's turn has come. Tells a worker of it.
[[gnu::noinline]] void pool_core::turn_key(lock& hold, std::uint64_t key) {
  sync::claimed_list called;
  if (queue_.finished(key)) call_worker(called);
  wake(hold, called);
}

/// When nothing is queued or running any more: tells those who wait for that.
void pool_core::settled(lock& hold) {
  sync::claimed_list called;
  quiet_.claim_all(called);
  if (ending_) idle_.claim_all(called);
  wake(hold, called);
}

std::chrono::nanoseconds pool_core::backoff_before(unsigned attempt) noexcept {
  auto delay = options_.backoff;
  for (unsigned i = 2; i < attempt && delay < options_.max_backoff; ++i) delay *= 2;
  delay = std::min(delay, options_.max_backoff);
  next_random_ = next_random_ * 6364136223846793005ULL + 1442695040888963407ULL;
  return delay - delay / 2 * static_cast<std::int64_t>(next_random_ >> 40) / (std::int64_t{1} << 24);
}

/// False: there is no memory for the fiber that would wait.
bool pool_core::retry_later(job* j) {
  {
    const lock hold(lock_);
    ++delayed_;
    ++counted_.retried;
  }
  try {
    go(go_options{.name = options_.name + "/retry"}, [self = shared_from_this(), j] { self->retry(job_ptr(j)); });
    return true;
  } catch (...) {
    const lock hold(lock_);
    --delayed_;
    --counted_.retried;
    return false;
  }
}

void pool_core::retry(job_ptr j) {
  lock hold(lock_);
  const auto delay = backoff_before(j->attempts + 1);
  hold.unlock();
  const bool waited = sleep_for(delay, stop_token_);
  hold.lock();
  --delayed_;
  if (!waited) {
    hold.unlock();
    job_list dropped;
    dropped.push_back(std::move(j));
    return discard(std::move(dropped), "stopped before the next attempt");
  }
  sync::claimed_list called;
  queue_.push_front(std::move(j));  // it has waited longest
  call_worker(called);
  done_with(hold, called);
}

/// Adds workers while the queue is longer than what they take in an interval; ends when they keep up.
void pool_core::scale() {
  lock hold(lock_);
  while (!ending_ && !queue_.empty() && workers_ < max_workers_) {
    const auto taken_before = taken();
    hold.unlock();
    sleep_for(options_.scale_interval, ending_token_);
    hold.lock();
    if (ending_ || workers_ >= max_workers_ || static_cast<std::int64_t>(queue_.size()) <= taken() - taken_before)
      continue;
    add_worker(hold, true);
  }
  scaling_ = false;
}

/// With the lock.
void pool_core::begin_ending(sync::claimed_list& called) {
  if (ending_) return;
  ending_ = true;
  idle_.claim_all(called);
  submitters_.claim_all(called);
}

/// With the lock: waits until nothing is queued or running, and, if asked for, the workers have gone. False: the limit
/// came first.
bool pool_core::wait_until_quiet(lock& hold, const char* reason, bool workers_too, const sched::wait_limit& limit) {
  const auto over = [&] { return unsettled() == 0 && (!workers_too || workers_ == 0); };
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

/// When all is settled, with the lock, which it gives back: closes the results, the first time.
void pool_core::close_once(lock& hold) {
  const bool first = !std::exchange(closed_, true);
  hold.unlock();
  if (first) close_();
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

/// Settles jobs that are neither queued nor run any more.
void pool_core::discard(job_list dropped, const char* why) {
  const auto error = std::make_exception_ptr(task_discarded("worker_pool \"" + options_.name + "\": " + why));
  while (!dropped.empty()) {
    std::exception_ptr same = error;
    job* j = dropped.pop_front();
    const bool keyed = j->keyed;
    const std::uint64_t key = j->key;
    ::operator delete(j->settle(same, ending_token_));
    lock hold(lock_);
    if (keyed) turn_key(hold, key);
    ++settled_;
    ++counted_.discarded;
    if (unsettled() == 0) settled(hold);
  }
}

void pool_core::wait_idle() {
  check_outside("wait_idle");
  sched::point("worker_pool::wait_idle", this);
  lock hold(lock_);
  wait_until_quiet(hold, "worker_pool::wait_idle", false, sched::for_ever);
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
  max_workers_ = max_workers;
  while (!ending_ && workers_ < min_workers_) add_worker(hold, true);
  idle_.claim_all(called);  // those above the new bounds go
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

}  // namespace tasks
}  // namespace gofer
