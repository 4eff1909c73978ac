#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <gofer/detail/sync/wait_queue.hpp>
#include <gofer/go.hpp>

namespace gofer::inline v0 {

/// Waits for a number of tasks to finish. Go's sync.WaitGroup.
///
///     gofer::wait_group wg;
///     for (auto& page : pages) wg.go([&] { fetch(page); });
///     wg.wait();
///
/// Usable from fibers and threads. Every `done` happens before the return of a `wait` that it released. May be reused
/// once a wait has returned, and destroyed as soon as the last one has.
class wait_group {
 public:
  constexpr wait_group() noexcept = default;

  /// Adds `n` tasks, or takes away `-n`. To be called before the `wait` that is to cover them.
  /// Throws std::logic_error, changing nothing, if the count would fall below zero or exceed 2^31.
  void add(std::ptrdiff_t n = 1);

  /// One task less.
  void done() { add(-1); }

  /// Blocks until the count is zero.
  void wait() { wait(sched::for_ever); }

  /// The same; returns false when the time is up or a stop is requested first.
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> d) {
    return wait({.deadline = sched::deadline_after(d)});
  }
  template <class Clock, class Duration>
  bool wait_until(std::chrono::time_point<Clock, Duration> at) {
    return wait({.deadline = sched::deadline_at(at)});
  }
  bool wait(std::stop_token stop) { return wait({.stop = &stop}); }

  /// Adds a task, and starts `f` as a fiber that is it. `f` is destroyed before the task counts as done. An exception
  /// that leaves `f` aborts as with gofer::go; to collect errors use task_group.
  template <class F>
  void go(F&& f) {
    add();
    try {
      gofer::go([this, f = std::optional<std::decay_t<F>>(std::forward<F>(f))]() mutable {
        std::move (*f)();
        f.reset();
        sched::end_fiber_locals();
        done();
      });
    } catch (...) {
      done();
      throw;
    }
  }

 private:
  bool wait(const sched::wait_limit& limit);

  sync::wait_queue tasks_;
};

}  // namespace gofer::inline v0
