#pragma once

#include <chrono>
#include <stop_token>
#include <utility>

#include <gofer/detail/sync/lock_watch.hpp>
#include <gofer/detail/sync/wait_queue.hpp>

namespace gofer {

/// Many readers or one writer; std::shared_timed_mutex for fibers and threads. Works with std::unique_lock and
/// std::shared_lock. Waiters get their turn in order: a waiting writer holds back the readers that come after it, and
/// readers that wait together are let in together, so neither side starves. Every unlock happens before the return of
/// the locks that it lets in. A reader must not lock again while it holds the lock: a writer may have come between. May
/// be destroyed as soon as the last holder has unlocked it.
class shared_mutex {
 public:
  constexpr shared_mutex() noexcept = default;
  ~shared_mutex() { sync::lock_watch::destroyed(this); }

  /// Blocks until the caller is alone.
  void lock() { lock_exclusive(sched::for_ever); }
  bool try_lock() noexcept;
  template <class Rep, class Period>
  bool try_lock_for(std::chrono::duration<Rep, Period> d) {
    return lock_exclusive({.deadline = sched::deadline_after(d)});
  }
  template <class Clock, class Duration>
  bool try_lock_until(std::chrono::time_point<Clock, Duration> at) {
    return lock_exclusive({.deadline = sched::deadline_at(at)});
  }
  /// Returns false if a stop is requested first.
  bool lock(std::stop_token stop) { return lock_exclusive({.stop = &stop}); }
  /// Aborts if no writer has the lock.
  void unlock();

  /// Blocks until no writer has the lock and none that came before waits for it.
  void lock_shared() { lock_as_reader(sched::for_ever); }
  bool try_lock_shared() noexcept;
  template <class Rep, class Period>
  bool try_lock_shared_for(std::chrono::duration<Rep, Period> d) {
    return lock_as_reader({.deadline = sched::deadline_after(d)});
  }
  template <class Clock, class Duration>
  bool try_lock_shared_until(std::chrono::time_point<Clock, Duration> at) {
    return lock_as_reader({.deadline = sched::deadline_at(at)});
  }
  /// Returns false if a stop is requested first.
  bool lock_shared(std::stop_token stop) { return lock_as_reader({.stop = &stop}); }
  /// Aborts if no reader has the lock.
  void unlock_shared();

 private:
  bool take() noexcept;
  bool take_shared() noexcept;
  bool lock_exclusive(const sched::wait_limit& limit);
  bool lock_as_reader(const sched::wait_limit& limit);
  bool wait_in_line(const char* reason, bool writer, const sched::wait_limit& limit);
  void let_in(std::uint64_t holders);
  void release(std::uint64_t held, const char* misuse);

  // The value: `writer`, or a multiple of `reader` for each reader inside.
  static constexpr std::uint64_t writer = 1;
  static constexpr std::uint64_t reader = 2;
  sync::wait_queue holders_;
};

}  // namespace gofer
