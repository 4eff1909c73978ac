#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <utility>

#include <gofer/detail/sync/wait_queue.hpp>
#include <gofer/mutex.hpp>

namespace gofer::inline v0 {

/// std::condition_variable_any for fibers and threads: waits until somebody notifies, with any lock given up meanwhile.
/// Waiters are notified in order, and none is woken without reason; a predicate is still the way to use it, because
/// what it stands for may have changed again before the lock is back.
class condition_variable_any {
 public:
  constexpr condition_variable_any() noexcept = default;

  /// Wakes the longest waiter, if there is one. The lock need not be held.
  void notify_one() noexcept;
  void notify_all() noexcept;

  /// Gives up `lock`, blocks until notified, takes `lock` back. Nobody can notify in between unseen. What giving it up
  /// throws, for one that is not locked, leaves the call.
  template <class Lock>
  void wait(Lock& lock) {
    wait_once(lock, sched::for_ever);
  }
  template <class Lock, class Predicate>
  void wait(Lock& lock, Predicate ready) {
    while (!ready()) wait_once(lock, sched::for_ever);
  }

  /// The same for so long; with `ready`, return what it says in the end.
  template <class Lock, class Rep, class Period>
  std::cv_status wait_for(Lock& lock, std::chrono::duration<Rep, Period> d) {
    return status(wait_once(lock, {.deadline = sched::deadline_after(d)}));
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, std::chrono::duration<Rep, Period> d, Predicate ready) {
    return wait_until_ready(lock, {.deadline = sched::deadline_after(d)}, ready);
  }
  template <class Lock, class Clock, class Duration>
  std::cv_status wait_until(Lock& lock, std::chrono::time_point<Clock, Duration> at) {
    return status(wait_once(lock, {.deadline = sched::deadline_at(at)}));
  }
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, std::chrono::time_point<Clock, Duration> at, Predicate ready) {
    return wait_until_ready(lock, {.deadline = sched::deadline_at(at)}, ready);
  }

  /// Wait until ready (true), or until a stop is requested or the time is up (what `ready` says then).
  template <class Lock, class Predicate>
  bool wait(Lock& lock, std::stop_token stop, Predicate ready) {
    return wait_until_ready(lock, {.stop = &stop}, ready);
  }
  template <class Lock, class Rep, class Period, class Predicate>
  bool wait_for(Lock& lock, std::stop_token stop, std::chrono::duration<Rep, Period> d, Predicate ready) {
    return wait_until_ready(lock, {.deadline = sched::deadline_after(d), .stop = &stop}, ready);
  }
  template <class Lock, class Clock, class Duration, class Predicate>
  bool wait_until(Lock& lock, std::stop_token stop, std::chrono::time_point<Clock, Duration> at, Predicate ready) {
    return wait_until_ready(lock, {.deadline = sched::deadline_at(at), .stop = &stop}, ready);
  }

 private:
  static std::cv_status status(std::uint32_t outcome) noexcept {
    return outcome == sched::waiter::woken ? std::cv_status::no_timeout : std::cv_status::timeout;
  }

  template <class Lock>
  std::uint32_t wait_once(Lock& lock, const sched::wait_limit& limit) {
    sched::waiter self("condition_variable::wait", this, limit);
    sync::wait_node node(self);
    enter(node);
    struct relock {
      Lock& lock;
      ~relock() { lock.lock(); }
    };
    try {
      lock.unlock();
    } catch (...) {  // it was not locked
      leave(node);
      throw;
    }
    const relock at_end{lock};
    return waiters_.wait(node);
  }

  template <class Lock, class Predicate>
  bool wait_until_ready(Lock& lock, const sched::wait_limit& limit, Predicate& ready) {
    while (!ready()) {
      if (limit.stop != nullptr && limit.stop->stop_requested()) return false;
      if (wait_once(lock, limit) != sched::waiter::woken) return ready();
    }
    return true;
  }

  void enter(sync::wait_node& node) noexcept;
  void leave(sync::wait_node& node) noexcept;

  sync::wait_queue waiters_;
};

/// std::condition_variable for fibers and threads, on gofer::mutex. May be destroyed as soon as all waiters have been
/// notified.
///
///     std::unique_lock lock(m);
///     ready.wait(lock, [&] { return !jobs.empty(); });
class condition_variable {
 public:
  /// What the standard's condition variable waits with, for a gofer::mutex.
  using lock_type = std::unique_lock<mutex>;

  constexpr condition_variable() noexcept = default;

  /// Wakes the longest waiter, or all. The lock need not be held.
  void notify_one() noexcept { any_.notify_one(); }
  void notify_all() noexcept { any_.notify_all(); }

  /// Give up `lock`, block until notified, and take `lock` back; with `ready`, until that is true, which is what the
  /// timed forms return.
  void wait(lock_type& lock) { any_.wait(lock); }
  template <class Predicate>
  void wait(lock_type& lock, Predicate ready) {
    any_.wait(lock, std::move(ready));
  }
  template <class Rep, class Period>
  std::cv_status wait_for(lock_type& lock, std::chrono::duration<Rep, Period> d) {
    return any_.wait_for(lock, d);
  }
  template <class Rep, class Period, class Predicate>
  bool wait_for(lock_type& lock, std::chrono::duration<Rep, Period> d, Predicate ready) {
    return any_.wait_for(lock, d, std::move(ready));
  }
  template <class Clock, class Duration>
  std::cv_status wait_until(lock_type& lock, std::chrono::time_point<Clock, Duration> at) {
    return any_.wait_until(lock, at);
  }
  template <class Clock, class Duration, class Predicate>
  bool wait_until(lock_type& lock, std::chrono::time_point<Clock, Duration> at, Predicate ready) {
    return any_.wait_until(lock, at, std::move(ready));
  }

  /// Returns what `ready` says once it is true or a stop has been requested.
  template <class Predicate>
  bool wait(lock_type& lock, std::stop_token stop, Predicate ready) {
    return any_.wait(lock, std::move(stop), std::move(ready));
  }
  template <class Rep, class Period, class Predicate>
  bool wait_for(lock_type& lock, std::stop_token stop, std::chrono::duration<Rep, Period> d, Predicate ready) {
    return any_.wait_for(lock, std::move(stop), d, std::move(ready));
  }
  template <class Clock, class Duration, class Predicate>
  bool wait_until(lock_type& lock, std::stop_token stop, std::chrono::time_point<Clock, Duration> at, Predicate ready) {
    return any_.wait_until(lock, std::move(stop), at, std::move(ready));
  }

 private:
  condition_variable_any any_;
};

}  // namespace gofer::inline v0
