#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <ranges>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <gofer/chan.hpp>
#include <gofer/detail/task/pool_core.hpp>
#include <gofer/detail/task/typed_job.hpp>
#include <gofer/future.hpp>

namespace gofer::inline v0 {

/// The worker that runs the caller.
namespace this_worker {

/// Its number in its pool, from 1; 0 outside of a pool's tasks, and in one that its submitter runs.
std::size_t number() noexcept;

}  // namespace this_worker

namespace tasks {

/// Whether a T can be copied. Containers say so whatever they hold.
template <class T>
inline constexpr bool copyable = std::copy_constructible<T>;
template <class T>
  requires requires { typename T::allocator_type; } && (!std::same_as<typename T::value_type, T>)
inline constexpr bool copyable<T> = std::copy_constructible<T> && copyable<typename T::value_type>;
template <class First, class Second>
inline constexpr bool copyable<std::pair<First, Second>> = copyable<First> && copyable<Second>;

/// What pools of every type offer.
class pool_base {
 public:
  pool_base(const pool_base&) = delete;
  pool_base& operator=(const pool_base&) = delete;

  /// Accepts no more tasks, blocks until every accepted one is finished, and closes the results. Submitters that wait
  /// get pool_stopped. May be called again, and by several at once; throws std::logic_error in a task of this pool,
  /// which would wait for itself.
  void drain() { kept()->drain(sched::for_ever); }
  /// The same within a limit. False: the time was up or a stop requested, and stop() was done instead.
  template <class Rep, class Period>
  bool drain_for(std::chrono::duration<Rep, Period> d) {
    return kept()->drain({.deadline = sched::deadline_after(d)});
  }
  bool drain(std::stop_token stop) { return kept()->drain({.stop = &stop}); }

  /// Accepts no more tasks, discards those that wait, requests a stop of those that run, and blocks until they have
  /// returned. Each discarded task's result is the error task_discarded. May be called again, at once, and beside
  /// drain; throws in a task of this pool, as that does.
  void stop() { kept()->stop(); }

  /// Blocks until nothing is queued or running. Goes on accepting, so that may not last. Throws in a task of this pool,
  /// as drain does.
  void wait_idle() { kept()->wait_idle(sched::for_ever); }
  /// The same within a limit. False: the time was up or a stop requested.
  template <class Rep, class Period>
  bool wait_idle_for(std::chrono::duration<Rep, Period> d) {
    return kept()->wait_idle({.deadline = sched::deadline_after(d)});
  }
  bool wait_idle(std::stop_token stop) { return kept()->wait_idle({.stop = &stop}); }

  /// Sets the bounds for the number of workers, as in the options. Throws std::invalid_argument if max < min, and what
  /// `go` throws if there is no memory for so many: the bounds are set then.
  void resize(std::size_t min_workers, std::size_t max_workers) { core_->resize(min_workers, max_workers); }

  worker_pool_stats stats() const { return core_->stats(); }

  /// Whether the caller is one of this pool's tasks.
  bool called_in_task() const { return core_->called_in_task(); }
  /// Calls `f` in the caller as if it were such a task: what would wait for the pool is refused in it.
  void call_as_task(const std::function<void()>& f) const { core_->call_as_task(f); }

 protected:
  explicit pool_base(std::shared_ptr<pool_core> core) : core_(std::move(core)) { core_->start(); }
  /// stop(), and what the pool was given to call is destroyed. In a task of this pool, which cannot be waited for
  /// there, that ends the program.
  ~pool_base() { core_->end(); }

  std::shared_ptr<pool_core> core_;

 private:
  /// Whoever waits keeps the pool's inside: the one who receives the last result may destroy the pool while a drain, in
  /// another fiber, has yet to return.
  std::shared_ptr<pool_core> kept() const { return core_; }
};

}  // namespace tasks

/// A number of fibers that work off a queue of tasks, with a result for every task.
///
///     gofer::worker_pool<url, page> pool([](url u) { return fetch(u); }, {.min_workers = 3});
///     gofer::go([&] { for (auto& u : urls) pool.submit(u); pool.drain(); });
///     for (auto& r : pool.results()) if (r.ok()) index(r.value()); else log(r.message());
///
/// Every accepted task has exactly one outcome; what throws is a failed result, never a dead worker. The number of
/// workers follows the load between the bounds of the options. Usable from fibers and threads. With Result = void there
/// are no results, only statistics. What a submitter did happens before its task runs, and that before its result is
/// received. A task is destroyed before its result is received. Moving a Task or a Result, if that is declared not to
/// throw, and destroying what a Result was moved from must not use the pool: it may be done with its lock held. What
/// moving a Result throws in the pool is its task's error; the task has returned, and counts as completed.
template <class Task = void, class Result = void>
class worker_pool : public tasks::pool_base {
  using work = tasks::pool_work<Task, Result>;

  /// A container that is not needed any more.
  template <class Range>
  static constexpr bool given_away =
      !std::is_lvalue_reference_v<Range> && !std::ranges::view<std::remove_cvref_t<Range>>;
  template <class Range>
  using element = std::conditional_t<given_away<Range>, std::ranges::range_rvalue_reference_t<Range>,
                                     std::ranges::range_reference_t<Range>>;

 public:
  /// `process(Task)` or `process(Task, std::stop_token)` is called by several workers at once. With more than one
  /// attempt allowed a task is lent to a `process(const Task&)`, and copied for each attempt of another; if it cannot
  /// be copied, more than one is refused there. Throws std::invalid_argument for options that cannot be, and what `go`
  /// throws if there is no memory for the workers.
  template <class F>
    requires std::is_invocable_v<F&, Task> || std::is_invocable_v<F&, Task, std::stop_token>
  explicit worker_pool(F process, worker_pool_options options = {})
      : worker_pool(make_work(std::move(process), options), options, nullptr) {}

  /// Returns the task's id, from 1 in the order of acceptance. When the queue is full does what the options say. Throws
  /// pool_stopped after drain or stop, queue_full with overflow::reject, and also where with overflow::block all
  /// workers would wait in tasks that submit to this pool, or a single one would if the pool is ordered.
  std::uint64_t submit(Task task, const task_options& of_task = {}) {
    tasks::job_ptr j;
    if (const std::uint64_t id = submit_at_once(task, of_task, j); id != 0) return id;
    return core_->submit(j);
  }

  /// Submits what is in a range, in order, some dozens at a time; returns the last one's id, 0 if there is none. Moves
  /// from the elements of a container that is given away. Throws as above: of the range a first part has been accepted
  /// then, and how much of it statistics say.
  template <std::ranges::input_range Range>
    requires(std::constructible_from<Task, element<Range>> && !std::convertible_to<Range, Task>)
  std::uint64_t submit(Range&& all, const task_options& of_each = {}) {
    std::uint64_t last = 0;
    tasks::job_list some;
    tasks::job_memory memory(*core_);
    std::size_t left = tasks::job_memory::at_a_time;
    if constexpr (std::ranges::sized_range<Range>) left = static_cast<std::size_t>(std::ranges::size(all));
    for (auto&& task : all) {
      if (job::reusable && some.empty()) memory.fetch(left);
      tasks::job_ptr j;
      if constexpr (given_away<Range>) {
        j = make_job(Task(std::move(task)), memory.take());
      } else {
        j = make_job(Task(std::forward<decltype(task)>(task)), memory.take());
      }
      j->apply(of_each);
      some.push_back(std::move(j));
      if constexpr (std::ranges::sized_range<Range>) --left;
      if (some.size() == tasks::job_memory::at_a_time) last = core_->submit_all(some);
    }
    return some.empty() ? last : core_->submit_all(some);
  }

  /// False: the queue is full (for so long), and the task is untouched. Throw pool_stopped.
  bool try_submit(Task&& task, const task_options& of_task = {}) {
    return submit_within(std::move(task), {.deadline = sched::time_point::min()}, of_task);
  }
  template <class Rep, class Period>
  bool submit_for(Task&& task, std::chrono::duration<Rep, Period> d, const task_options& of_task = {}) {
    return submit_within(std::move(task), {.deadline = sched::deadline_after(d)}, of_task);
  }
  /// False: a stop was requested while the queue was full.
  bool submit(Task&& task, std::stop_token stop, const task_options& of_task = {}) {
    return submit_within(std::move(task), {.stop = &stop}, of_task);
  }

  /// Closed after the last result. Until somebody receives, all results are kept; from then on workers wait while more
  /// than the options' result_capacity are not received.
  receiver<task_result<Result>> results()
    requires(!std::is_void_v<Result>)
  {
    return work_->sink.channel();
  }

 private:
  using job = tasks::typed_job<Task, Result>;

  worker_pool(std::shared_ptr<work> w, const worker_pool_options& options, std::nullptr_t)
      : pool_base(make_core(w, options)), work_(std::move(w)) {}

  template <class F>
  static std::shared_ptr<work> make_work(F process, const worker_pool_options& options) {
    // Where a copy is only said to be possible, `F` may well be about to make one of what it is lent.
    constexpr bool lends =
        tasks::copyable<Task> == std::copy_constructible<Task> &&
        (std::is_invocable_v<F&, const Task&> || std::is_invocable_v<F&, const Task&, std::stop_token>);
    if (!tasks::copyable<Task> && !lends && options.max_attempts > 1) {
      throw std::invalid_argument("worker_pool \"" + options.name + "\": max_attempts is " +
                                  std::to_string(options.max_attempts) +
                                  ", but a task that cannot be copied is gone after the first");
    }
    auto call = [process = std::make_shared<F>(std::move(process)), retries = options.max_attempts > 1](
                    Task& task, const std::stop_token& stop) -> Result {
      const auto invoke = [&](auto&& argument) -> Result {
        if constexpr (std::is_invocable_v<F&, decltype(argument), std::stop_token>) {
          return std::invoke(*process, std::forward<decltype(argument)>(argument), stop);
        } else {
          return std::invoke(*process, std::forward<decltype(argument)>(argument));
        }
      };
      if constexpr (lends) {
        if (retries) return invoke(std::as_const(task));
      } else if constexpr (tasks::copyable<Task>) {
        if (retries) return invoke(Task(task));
      } else {
        static_cast<void>(retries);
      }
      return invoke(std::move(task));
    };
    if constexpr (std::is_void_v<Result>) {
      return std::make_shared<work>(work{.process = std::move(call)});
    } else {
      return std::shared_ptr<work>(
          new work{.process = std::move(call), .sink{options.result_capacity, options.ordered}});
    }
  }

  /// It keeps what the jobs refer to.
  static std::shared_ptr<tasks::pool_core> make_core(const std::shared_ptr<work>& w,
                                                     const worker_pool_options& options) {
    const auto forget = [w] { w->process = nullptr; };
    if constexpr (std::is_void_v<Result>) {
      return std::make_shared<tasks::pool_core>(options, [] {}, forget, nullptr);
    } else {
      auto core = std::make_shared<tasks::pool_core>(options, [w] { w->sink.close(); }, forget, &w->sink.lock());
      w->sink.when_one_goes_out([&pool = *core] { pool.result_went_out(); });  // called by those who keep it
      return core;
    }
  }

  /// In `memory`, if there is any.
  tasks::job_ptr make_job(Task&& task, void* memory = nullptr) {
    if constexpr (!job::reusable) return tasks::job_ptr(new job(*work_, std::move(task)));
    if (memory == nullptr) memory = ::operator new(sizeof(job));
    try {
      return tasks::job_ptr(new (memory) job(*work_, std::move(task)));
    } catch (...) {
      ::operator delete(memory);
      throw;
    }
  }

  /// The common case in one critical section: returns the task's id. 0: it could not be, and `made` is its job.
  std::uint64_t submit_at_once(Task& task, const task_options& of_task, tasks::job_ptr& made) {
    void* memory = nullptr;
    if constexpr (job::moved_under_lock) {
      if (tasks::job_queue::plain(of_task) && core_->begin_submit(memory)) [[likely]]
        return core_->end_submit(*new (memory) job(*work_, std::move(task)));
    }
    made = make_job(std::move(task), memory);
    made->apply(of_task);
    return 0;
  }

  bool submit_within(Task&& task, const sched::wait_limit& limit, const task_options& of_task) {
    tasks::job_ptr j;
    if (submit_at_once(task, of_task, j) != 0) return true;
    job& made = static_cast<job&>(*j);
    try {
      if (core_->submit_within(j, limit)) return true;
    } catch (...) {
      task = std::move(made.task);
      throw;
    }
    task = std::move(made.task);
    return false;
  }

  std::shared_ptr<work> work_;
};

/// A pool for callables of any type, each with a future for what it returns.
///
///     gofer::worker_pool<> pool({.min_workers = 4});
///     gofer::future<int> answer = pool.submit([] { return 42; });
template <>
class worker_pool<void, void> : public tasks::pool_base {
 public:
  /// Starts the workers there are at least.
  explicit worker_pool(worker_pool_options options = {})
      : pool_base(std::make_shared<tasks::pool_core>(std::move(options), [] {}, [] {}, nullptr)) {}

  /// `f()` or `f(std::stop_token)`. The future gets what it returns or throws, or task_discarded; dropping the future
  /// does not wait. When the queue is full does what the options say. Throws pool_stopped, queue_full.
  template <class F>
  auto submit(F&& f, const task_options& of_task = {}) {
    auto* made = make_job(std::forward<F>(f));
    tasks::job_ptr j(made);
    j->apply(of_task);
    auto shared = made->shared;
    core_->submit(j);
    return tasks::make_future(std::move(shared), false);
  }

 private:
  template <class F>
  static auto make_job(F&& f) {
    using callable = std::decay_t<F>;
    if constexpr (std::is_invocable_v<callable&, std::stop_token>) {
      using result = std::invoke_result_t<callable&, std::stop_token>;
      return new tasks::callable_job<result, callable>(std::forward<F>(f));
    } else {
      using result = std::invoke_result_t<callable&>;
      return new tasks::callable_job<result, callable>(std::forward<F>(f));
    }
  }
};

}  // namespace gofer::inline v0
