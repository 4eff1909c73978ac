// What the workers of a pool do, and how many there are.

#include <algorithm>
#include <mutex>

#include <gofer/detail/sched/insist.hpp>
#include <gofer/detail/task/pool_core.hpp>
#include <gofer/go.hpp>
#include <gofer/time.hpp>
#include <gofer/worker_pool.hpp>

#include "task/time_limit.hpp"

namespace gofer::inline v0 {
namespace {

/// For which pool a fiber or a thread is at work, for this_worker and to refuse waits for oneself.
struct worker_identity {
  const tasks::pool_core* pool = nullptr;
  std::size_t number = 0;                  // of the worker; 0: it is none, but runs a task or an observer of the pool
  const worker_identity* outer = nullptr;  // for which it is, too: the task was submitted by a task
};

/// Who has none is at work for nobody.
constinit const fiber_local<worker_identity> identity;

/// Whether the caller is at work as one that is `wanted`.
template <class Predicate>
bool at_work(Predicate wanted) noexcept {
  const worker_identity* at = identity.find();
  while (at != nullptr && !wanted(*at)) at = at->outer;
  return at != nullptr;
}

/// The caller is at work for a pool, as long as this lives.
class acting {
 public:
  explicit acting(const tasks::pool_core& pool) : before_(*identity) { *identity = {&pool, 0, &before_}; }
  acting(const acting&) = delete;
  acting& operator=(const acting&) = delete;
  ~acting() { *identity = before_; }

 private:
  const worker_identity before_;
};

}  // namespace

std::size_t this_worker::number() noexcept {
  const worker_identity* known = identity.find();
  return known == nullptr ? 0 : known->number;
}

namespace tasks {

struct pool_core::idle_worker : sync::wait_node {
  using wait_node::wait_node;
  job* given = nullptr;  // none when it was called: to look again
};

/// What there is to count of a run.
struct pool_core::run_outcome {
  enum : std::uint8_t { completed, failed, delayed } what = completed;
  bool keyed = false;
  std::uint64_t key = 0;
  void* memory = nullptr;  // of the job that is gone
};

bool pool_core::called_in_task() const {
  return at_work([&](const worker_identity& as) { return as.pool == this; });
}

void pool_core::call_as_task(const std::function<void()>& f) const {
  const acting for_pool(*this);
  f();
}

/// Whether a worker of this pool waits as long as the caller does.
bool pool_core::called_in_worker() const {
  return at_work([&](const worker_identity& as) { return as.pool == this && as.number != 0; });
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

/// With the lock, which it gives back meanwhile. Throws what `go` throws.
void pool_core::add_worker(lock& hold, bool growth) {
  const std::size_t before = workers_++;
  const std::size_t number = ++numbered_;
  if (growth) ++counted_.grown;
  ++outside_;  // the worker may have gone before the observer is told of it
  hold.unlock();
  try {
    go(go_options{.name = options_.name + "/" + std::to_string(number)},
       [self = shared_from_this(), number] { self->work(number); });
  } catch (...) {
    hold.lock();
    --outside_;
    --workers_;
    if (growth) --counted_.grown;
    tell_quiet();
    throw;
  }
  sched::point("worker_pool: a worker was added", this);
  hold.lock();
  if (growth) report_scale(hold, before, before + 1);
  --outside_;
  tell_quiet();
}

/// With the lock, which it gives back meanwhile.
void pool_core::report_scale(lock& hold, std::size_t before, std::size_t after) noexcept {
  if (!options_.on_scale) return;
  call_outside(hold, [&] {
    const acting for_pool(*this);
    options_.on_scale(before, after);
  });
}

/// The life of a worker.
void pool_core::work(std::size_t number) {
  sched::insist([&] { *identity = {.pool = this, .number = number}; });
  void* surplus = nullptr;
  sched::spin_lock& pools = lock_;  // read once: of a member the compiler would do so at every use
  pools.lock();
  while (job* j = next_job(pools)) {
    if (surplus != nullptr) [[unlikely]]
      ::operator delete(surplus);
    surplus = run(j, pools);
  }
  lock hold(lock_, std::adopt_lock);
  const std::size_t after = --workers_;
  if (!ending_) {
    ++counted_.shrunk;
    report_scale(hold, after + 1, after);
  }
  call_outside(hold, [] { sched::end_fiber_locals(); });
  hold.unlock();
  ::operator delete(surplus);
}

/// Called with the lock: the next job, without the lock; or, with it, null, when the worker is to go.
inline job* pool_core::next_job(sched::spin_lock& pools) {
  if (queue_.empty() || !submitters_.empty() || workers_ != max_workers_) [[unlikely]]
    return next_job_otherwise();
  job* j = queue_.pop();
  pools.unlock();
  return j;
}

/// Where somebody has to be woken, there is nothing to do, or the number of workers changes.
job* pool_core::next_job_otherwise() {
  lock hold(lock_, std::adopt_lock);
  job* j = wait_for_job(hold);
  if (j == nullptr) hold.release();
  return j;
}

/// Gives the lock back, but for null.
job* pool_core::wait_for_job(lock& hold) {
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

/// Runs a job that was taken, settles it or has it tried again later, and counts it. Called without the lock, which it
/// takes and keeps. Returns memory that is to be freed without it.
inline void* pool_core::run(job* j, sched::spin_lock& pools) {
  const bool failed = !attempt(*j);
  sched::point("worker_pool: a task is done", this);
  if (&pools != &own_lock_ && !failed && !j->timed && !j->keyed) [[likely]] {
    pools.lock();
    void* memory = j->settle_at_once();
    if (memory != nullptr) return account({.memory = memory});
    pools.unlock();
  }
  const run_outcome outcome = settle(j, failed);
  pools.lock();
  return account(outcome);
}

/// Without the lock: settles a job that was run, or has it tried again later.
inline pool_core::run_outcome pool_core::settle(job* j, bool failed) {
  if (failed && j->attempts < options_.max_attempts && !stop_source_.stop_requested() && retry_later(j)) [[unlikely]]
    return {.what = run_outcome::delayed};
  if (j->timed) [[unlikely]]
    sample(*j);
  run_outcome outcome{.what = failed ? run_outcome::failed : run_outcome::completed, .keyed = j->keyed};
  if (outcome.keyed) [[unlikely]]
    outcome.key = j->details().key;
  outcome.memory = j->settle(ending_token_);
  return outcome;
}

/// False: it failed.
inline bool pool_core::attempt(job& j) {
  ++j.attempts;
  if (j.timed || options_.task_timeout.count() != 0) [[unlikely]]
    return attempt_timed(j);
  return j.attempt(stop_token_);
}

/// An attempt that is timed, or limited in time.
bool pool_core::attempt_timed(job& j) noexcept {
  const sched::time_point begin = sched::now();
  if (j.timed && j.attempts == 1) j.details().waited = begin - j.details().accepted;
  const bool done = options_.task_timeout.count() == 0 ? j.attempt(stop_token_) : attempt_within(j);
  if (j.timed) j.details().ran += sched::now() - begin;
  return done;
}

/// An attempt that is asked to stop after the task's timeout.
bool pool_core::attempt_within(job& j) noexcept {
  try {
    time_limit limit(options_.task_timeout, stop_token_);
    const bool done = j.attempt(limit.token());
    j.timed_out = limit.end();
    if (j.timed_out) {
      const lock hold(lock_);
      ++counted_.timed_out;
    }
    return done;
  } catch (...) {  // no memory for what limits it
    j.error = std::current_exception();
    return false;
  }
}

/// For the percentiles.
void pool_core::sample(job& j) {
  const lock hold(lock_);
  waiting_.add(j.details().waited);
  running_time_.add(j.details().ran);
}

/// With the lock: counts what became of a job that ran. Keeps the lock, but for telling those who wait for the pool to
/// be quiet. Returns memory that is to be freed without the lock.
inline void* pool_core::account(const run_outcome& outcome) {
  if (outcome.what == run_outcome::delayed) [[unlikely]]
    return nullptr;  // counted already
  ++settled_;
  if (outcome.what == run_outcome::failed) ++counted_.failed;
  void* surplus = outcome.memory;
  if (surplus != nullptr && free_count_ < free_.size()) free_[free_count_++] = std::exchange(surplus, nullptr);
  if (outcome.keyed) [[unlikely]]
    turn_key(outcome.key);
  if (unsettled() == 0) [[unlikely]]
    settled();
  return surplus;
}

/// Accepts a job and runs it; with the lock, which it gives back. Its id; 0, with the lock: no more may be accepted
/// just now. Throws std::bad_alloc, and has not accepted it then.
std::uint64_t pool_core::run_in_caller(lock& hold, job_ptr& j) {
  hold.unlock();
  const acting for_pool(*this);
  hold.lock();
  const std::uint64_t id = accept_to_run(*j);
  if (id == 0) return 0;
  hold.unlock();
  void* surplus = run(j.release(), lock_);
  lock_.unlock();
  ::operator delete(surplus);
  return id;
}

/// With the lock: the task of that key is over, and the next one's turn has come. Tells a worker of it.
[[gnu::noinline]] void pool_core::turn_key(std::uint64_t key) {
  sync::claimed_list called;
  if (queue_.finished(key)) call_worker(called);
  wake(called);
}

std::chrono::nanoseconds backoff_before(unsigned attempt, std::chrono::nanoseconds first, std::chrono::nanoseconds most,
                                        std::uint64_t random) noexcept {
  auto delay = std::min(first, most);
  for (unsigned i = 2; i < attempt && delay < most; ++i) delay = delay > most / 2 ? most : delay * 2;
  const double less = static_cast<double>(random >> 40) / (1U << 24) / 2;
  return delay - std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(delay.count()) * less));
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
  j->error = nullptr;
  lock hold(lock_);
  next_random_ = next_random_ * 6364136223846793005ULL + 1442695040888963407ULL;
  const auto delay = backoff_before(j->attempts + 1, options_.backoff, options_.max_backoff, next_random_);
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
    try {
      add_worker(hold, true);
    } catch (...) {  // no memory for another: perhaps later
    }
  }
  scaling_ = false;
}

}  // namespace tasks
}  // namespace gofer::inline v0
