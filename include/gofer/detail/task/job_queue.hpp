#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <stop_token>
#include <unordered_map>
#include <utility>
#include <vector>

#include <gofer/detail/sched/time.hpp>

namespace gofer::inline v0 {

/// What may be said of a single task.
struct task_options {
  /// Higher ones are taken first, but not for ever: see priority_step of the pool's options. May be negative.
  int priority = 0;
  /// Tasks of one key run one after another, in the order of submission, and their results come in that order, too. One
  /// that does not fit waits for room even with overflow::caller_runs.
  std::optional<std::uint64_t> key = {};
};

}  // namespace gofer::inline v0

namespace gofer::inline v0::tasks {

/// What only some jobs need. Kept behind the rest of them, and not touched where it is not needed: what every job has
/// then fits into one cache line, which goes from the submitter's core to the worker's and back.
struct job_details {
  std::uint64_t key;  // if it is keyed
  // If it is timed:
  sched::time_point accepted;
  std::chrono::nanoseconds waited;
  std::chrono::nanoseconds ran;
};

/// A task on its way through a pool, whatever its type.
class job {
 public:
  job() = default;
  job(const job&) = delete;
  job& operator=(const job&) = delete;

  /// Runs the task once, and keeps what it returns. False: it threw, and `error` is what.
  virtual bool attempt(const std::stop_token& stop) noexcept = 0;
  /// Says what became of the task: `error`, or if there is none what the last attempt returned. May wait for room; does
  /// so no longer once `ending` is requested. Ends this object, and returns what destroy does.
  virtual void* settle(const std::stop_token& ending) noexcept = 0;
  /// The same of a task that is done, with the lock that the pool has in common with its results, if that needs no wait
  /// and nobody has to be woken. Else does nothing, and returns null.
  virtual void* settle_at_once() noexcept { return nullptr; }
  /// Ends this object. Returns its memory, from operator new, for another job of its pool, or null.
  virtual void* destroy() noexcept = 0;
  virtual job_details& details() noexcept = 0;

  void apply(const task_options& options) noexcept {
    priority = options.priority;
    keyed = options.key.has_value();
    if (keyed) details().key = *options.key;
  }

  job* next = nullptr;       // in a job_list
  std::exception_ptr error;  // why it is not done
  std::uint64_t id = 0;
  unsigned attempts = 0;
  int priority = 0;
  bool timed = false;
  bool keyed = false;
  bool timed_out = false;  // the last attempt

 protected:
  virtual ~job() = default;
};

struct job_disposer {
  void operator()(job* j) const noexcept { ::operator delete(j->destroy()); }
};
using job_ptr = std::unique_ptr<job, job_disposer>;

/// Jobs in line. Owns them.
class job_list {
 public:
  job_list() = default;
  job_list(job_list&& other) noexcept
      : first_(std::exchange(other.first_, nullptr)), last_(other.last_), size_(std::exchange(other.size_, 0)) {}
  job_list& operator=(job_list&&) = delete;
  ~job_list() {
    while (!empty()) job_disposer()(pop_front());
  }

  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept { return size_; }
  const job* front() const noexcept { return first_; }

  void push_back(job_ptr owned) noexcept {
    job* j = owned.release();
    j->next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = j;
    last_ = j;
    ++size_;
  }
  void push_front(job_ptr owned) noexcept {
    job* j = owned.release();
    if (first_ == nullptr) last_ = j;
    j->next = first_;
    first_ = j;
    ++size_;
  }
  /// The caller's from now on.
  job* pop_front() noexcept {
    job* j = first_;
    first_ = j->next;
    --size_;
    return j;
  }

 private:
  job* first_ = nullptr;
  job* last_ = nullptr;  // if there is a first
  std::size_t size_ = 0;
};

/// The jobs that wait for a worker. First in first out, but that a job of priority p is ranked as if it had been
/// accepted p steps earlier; so it overtakes others and is itself overtaken only by those that come within so many. And
/// of the jobs of one key only the first is in line.
class job_queue {
 public:
  explicit job_queue(std::size_t priority_step) noexcept : later_{static_cast<std::int64_t>(priority_step)} {}

  /// True if there is none that may be taken.
  bool empty() const noexcept { return line_.empty() && (special_ == nullptr || special_->ranked.empty()); }
  /// How many wait, for a worker or for others of their key.
  std::size_t size() const noexcept { return line_.size() + (special_ == nullptr ? 0 : special_->size()); }

  /// Puts a job, which has its number, where it belongs. Throws std::bad_alloc, and the job is still the caller's then;
  /// not for one with neither priority nor key.
  void push(job_ptr& j) {
    if (!plain(*j)) [[unlikely]]
      return push_apart(j);
    push_plain(std::move(j));
  }

  /// For one with neither.
  void push_plain(job_ptr j) noexcept { line_.push_back(std::move(j)); }
  static bool plain(const job& j) noexcept { return j.priority == 0 && !j.keyed; }
  static bool plain(const task_options& of_task) noexcept { return of_task.priority == 0 && !of_task.key; }

  /// Before all that have its rank.
  void push_front(job_ptr j) noexcept { line_.push_front(std::move(j)); }

  /// Takes the first. There is one.
  job* pop() noexcept {
    if (special_ != nullptr) [[unlikely]]
      return pop_first();
    return line_.pop_front();
  }

  /// A job of that key is over: the next one comes into line. Returns whether there was one.
  [[gnu::noinline]] bool finished(std::uint64_t key) noexcept {
    const auto at = special_->keys.find(key);
    if (at->second.empty()) {
      special_->keys.erase(at);
      return false;
    }
    job_ptr next(at->second.pop_front());
    --special_->waiting;
    push_ranked(next);
    return true;
  }

  /// Takes the one that has waited longest. There is one.
  [[gnu::noinline]] job* pop_oldest() noexcept {
    if (special_ == nullptr) return line_.pop_front();
    const job* oldest = line_.front();
    const auto older = [&](const job* j) { return j != nullptr && (oldest == nullptr || j->id < oldest->id); };
    std::vector<job*>& ranked = special_->ranked;
    auto in_heap = ranked.end();
    for (auto at = ranked.begin(); at != ranked.end(); ++at) {
      if (older(*at)) oldest = *(in_heap = at);
    }
    job_list* behind_key = nullptr;
    for (auto& [key, waiting] : special_->keys) {
      if (older(waiting.front())) oldest = (behind_key = &waiting)->front();
    }
    if (behind_key != nullptr) return pop_waiting(*behind_key);
    if (in_heap == ranked.end()) return line_.pop_front();
    job* j = std::exchange(*in_heap, ranked.back());
    ranked.pop_back();
    std::ranges::make_heap(ranked, later_);
    return j;
  }

  /// Takes out all, those that wait for their key, too.
  [[gnu::noinline]] job_list take_all() noexcept {
    job_list all;
    while (!empty()) all.push_back(job_ptr(pop()));
    if (special_ == nullptr) return all;
    for (auto& [key, waiting] : special_->keys) {
      while (!waiting.empty()) all.push_back(job_ptr(pop_waiting(waiting)));
    }
    return all;
  }

 private:
  struct special {
    std::vector<job*> ranked;                          // a heap, the first to be taken at its top
    std::unordered_map<std::uint64_t, job_list> keys;  // those of which a job is in line or runs, and who waits for it
    std::size_t waiting = 0;                           // jobs in keys

    special() = default;
    special(const special&) = delete;
    special& operator=(const special&) = delete;
    ~special() {
      for (job* j : ranked) job_disposer()(j);
    }

    std::size_t size() const noexcept { return ranked.size() + waiting; }
  };

  /// Which of two jobs is to be taken later.
  struct later {
    std::int64_t step;
    std::int64_t rank(const job& j) const noexcept { return static_cast<std::int64_t>(j.id) - j.priority * step; }
    bool operator()(const job* a, const job* b) const noexcept {
      const std::int64_t difference = rank(*a) - rank(*b);
      return difference > 0 || (difference == 0 && a->id > b->id);
    }
  };

  void reserve(std::size_t room) {
    std::vector<job*>& ranked = special_->ranked;
    if (room > ranked.capacity()) ranked.reserve(std::max(room, 2 * ranked.capacity()));
  }

  [[gnu::noinline]] void push_apart(job_ptr& j) {
    if (special_ == nullptr) special_ = std::make_unique<special>();
    reserve(special_->ranked.size() + special_->waiting + 1);
    if (j->keyed) {
      const auto [at, first] = special_->keys.try_emplace(j->details().key);
      if (!first) {
        at->second.push_back(std::move(j));
        ++special_->waiting;
        return;
      }
    }
    push_ranked(j);
  }

  [[gnu::noinline]] job* pop_first() noexcept {
    std::vector<job*>& ranked = special_->ranked;
    if (ranked.empty() || (!line_.empty() && later_(ranked.front(), line_.front()))) return line_.pop_front();
    std::ranges::pop_heap(ranked, later_);
    job* j = ranked.back();
    ranked.pop_back();
    return j;
  }

  /// One that does not hold its key, and gives it up: others do.
  job* pop_waiting(job_list& of_key) noexcept {
    job* j = of_key.pop_front();
    j->keyed = false;
    --special_->waiting;
    return j;
  }

  /// There is room: push has seen to that, for those that wait as well.
  void push_ranked(job_ptr& j) noexcept {
    special_->ranked.push_back(j.release());
    std::ranges::push_heap(special_->ranked, later_);
  }

  job_list line_;
  std::unique_ptr<special> special_;  // from the first job that is not plain on
  const later later_;
};

}  // namespace gofer::inline v0::tasks
