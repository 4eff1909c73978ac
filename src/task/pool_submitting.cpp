// How a pool accepts tasks, and what it does when its queue is full.

#include <algorithm>
#include <mutex>

#include <gofer/detail/task/pool_core.hpp>

namespace gofer::inline v0::tasks {
namespace {

/// One task in so many is timed in a pool that is not `timed`.
constexpr std::uint64_t sampled = 64;

}  // namespace

struct pool_core::waiting_submitter : sync::wait_node {
  waiting_submitter(sched::waiter& w, job_ptr& j) noexcept : wait_node(w), brought(j) {}
  job_ptr& brought;
  std::uint64_t id = 0;    // once it is accepted; when it was called without: the pool ends, or
  bool no_memory = false;  // that
};

/// With the lock: the id of a job that is accepted.
inline std::uint64_t pool_core::number(job& j) noexcept {
  const std::uint64_t id = ++submitted_;
  j.id = id;
  j.timed = options_.timed || id % sampled == 0;
  if (j.timed) [[unlikely]] {
    job_details& details = j.details();
    details.accepted = sched::now();
    details.waited = details.ran = details.ran.zero();
  }
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

/// With the lock: the id of a job that is accepted past the queue; 0 if no more may be accepted just now.
std::uint64_t pool_core::accept_to_run(job& j) noexcept { return ending_ || !in_reach() ? 0 : number(j); }

/// With the lock, after a job has left the queue.
void pool_core::let_in_submitters(sync::claimed_list& called) {
  while (has_room()) {
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

void pool_core::result_went_out() {
  sync::claimed_list called;
  lock hold(lock_);
  if (ending_) return;
  ++reach_;
  let_in_submitters(called);
  done_with(hold, called);
}

/// With the lock, which it gives back: accepts a job for which there is room; its id.
std::uint64_t pool_core::accept_and_call(lock& hold, job_ptr& j) {
  sync::claimed_list called;
  const std::uint64_t id = accept(j, called);
  done_with(hold, called);
  return id;
}

/// With a full queue, and the lock: waits until the job is accepted; its id. 0: the time was up. Throws pool_stopped,
/// and queue_full if nobody would be left to make room.
std::uint64_t pool_core::wait_for_room(lock& hold, job_ptr& j, const sched::wait_limit& limit) {
  const bool own = called_in_task() && !limit.bounded();
  const bool stuck = own && called_in_worker();
  if (own && (ordered() || (stuck && stuck_ + 1 >= max_workers_))) {
    ++counted_.rejected;
    hold.unlock();
    const char* why = ordered() ? "there is no room, and a task that waits for some in its own pool may be the one for "
                                  "whose result, as they come in order, all others wait"
                                : "the queue is full, and every worker would wait for room in it, in tasks that submit "
                                  "to their own pool; overflow::caller_runs lets them run such tasks themselves";
    throw queue_full("worker_pool \"" + options_.name + "\": " + why);
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
inline bool pool_core::queues_at_once() const noexcept {
  const bool calls = !idle_.empty() && !calling_;
  return has_room() && !calls && !may_grow();
}

/// With the lock: accepts a job, and says its id, if that can be done at once.
inline bool pool_core::accept_at_once(job_ptr& j, std::uint64_t& id) noexcept {
  if (!queues_at_once() || !job_queue::plain(*j)) return false;
  id = number(*j);
  queue_.push_plain(std::move(j));
  return true;
}

bool pool_core::begin_submit(void*& memory) {
  sched::point("worker_pool::submit", this);
  lock_.lock();
  memory = free_count_ == 0 ? nullptr : free_[--free_count_];
  if (memory != nullptr && queues_at_once()) [[likely]]
    return true;
  lock_.unlock();
  return false;
}

std::uint64_t pool_core::end_submit(job& made) noexcept {
  const std::uint64_t id = number(made);
  queue_.push_plain(job_ptr(&made));
  const void* next = free_count_ == 0 ? nullptr : free_[free_count_ - 1];
  lock_.unlock();
  arch::prefetch_to_write(next);  // another core had it last
  return id;
}

std::size_t pool_core::take_memory(std::span<void*> into) noexcept {
  std::size_t count = 0;
  {
    const lock hold(lock_);
    count = std::min<std::size_t>(into.size(), free_count_);
    free_count_ = static_cast<std::uint16_t>(free_count_ - count);
    std::copy_n(free_.begin() + free_count_, count, into.begin());
  }
  for (void* piece : into.first(count)) arch::prefetch_to_write(piece);  // other cores had them last
  return count;
}

void pool_core::give_memory(std::span<void* const> left_over) noexcept {
  std::size_t kept = 0;
  {
    const lock hold(lock_);
    while (kept < left_over.size() && free_count_ < free_.size()) free_[free_count_++] = left_over[kept++];
  }
  for (void* piece : left_over.subspan(kept)) ::operator delete(piece);
}

std::uint64_t pool_core::submit(job_ptr& j) {
  sched::point("worker_pool::submit", this);
  lock hold(lock_);
  std::uint64_t id = 0;
  return accept_at_once(j, id) ? id : submit_otherwise(hold, j);
}

std::uint64_t pool_core::submit_all(job_list& jobs) {
  sched::point("worker_pool::submit", this);
  std::uint64_t last = 0;
  lock hold(lock_);
  while (!jobs.empty()) {
    job_ptr j(jobs.pop_front());
    if (accept_at_once(j, last)) continue;
    last = submit_otherwise(hold, j);
    if (!hold.owns_lock()) hold.lock();
  }
  return last;
}

/// Where somebody has to be woken, or there is no room. Comes back with the lock or without.
std::uint64_t pool_core::submit_otherwise(lock& hold, job_ptr& j) {
  if (ending_) refuse(hold);
  if (has_room()) return accept_and_call(hold, j);
  switch (options_.when_full) {
    case overflow::block:
      break;
    case overflow::reject: {
      ++counted_.rejected;
      const bool behind = !in_reach();
      const std::size_t queued = queue_.size();
      hold.unlock();
      throw queue_full("worker_pool \"" + options_.name + "\": " +
                       (behind ? "results come in order, and too many tasks wait for one that is slow"
                               : "the queue holds " + std::to_string(queued) + " tasks and is full"));
    }
    case overflow::discard_oldest: {
      if (!in_reach()) break;
      sync::claimed_list called;
      const std::uint64_t id = accept(j, called);  // beyond the capacity, for a moment
      job_list oldest;
      if (queue_.size() > options_.queue_capacity) oldest.push_back(job_ptr(queue_.pop_oldest()));
      done_with(hold, called);
      discard(std::move(oldest), "discarded for a newer task");
      return id;
    }
    case overflow::caller_runs: {
      if (j->keyed || !in_reach()) break;  // it may not be its turn
      const std::uint64_t id = run_in_caller(hold, j);
      return id != 0 ? id : submit_otherwise(hold, j);
    }
  }
  return wait_for_room(hold, j, sched::for_ever);
}

bool pool_core::submit_within(job_ptr& j, const sched::wait_limit& limit) {
  sched::point("worker_pool::try_submit", this);
  lock hold(lock_);
  if (ending_) refuse(hold);
  if (has_room()) {
    accept_and_call(hold, j);
    return true;
  }
  const bool patient = limit.deadline != sched::time_point::min();
  if (patient && wait_for_room(hold, j, limit) != 0) return true;
  ++counted_.rejected;
  return false;
}

}  // namespace gofer::inline v0::tasks
