#pragma once

#include <chrono>
#include <cstddef>
#include <stop_token>
#include <utility>

#include <gofer/detail/sync/countdown.hpp>

namespace gofer::inline v0 {

/// std::latch for fibers and threads: counts down once, and lets everybody through from then on. Every count_down
/// happens before the return of a wait. May be destroyed as soon as the last wait has returned.
class latch {
 public:
  /// The most it can count down from.
  static constexpr std::ptrdiff_t max() noexcept { return sync::most_counted; }

  /// Throws std::logic_error if `expected` is negative or above max().
  explicit latch(std::ptrdiff_t expected);

  /// Throws std::logic_error, changing nothing, if the count would fall below zero.
  void count_down(std::ptrdiff_t n = 1);
  bool try_wait() const noexcept {
    sched::point("latch::try_wait", this);
    return sync::wait_queue::value(count_.load()) == 0;
  }
  void wait() const { wait(sched::for_ever); }
  void arrive_and_wait(std::ptrdiff_t n = 1) {
    count_down(n);
    wait();
  }

  /// Return false when the time is up or a stop is requested first.
  template <class Rep, class Period>
  bool wait_for(std::chrono::duration<Rep, Period> d) const {
    return wait({.deadline = sched::deadline_after(d)});
  }
  template <class Clock, class Duration>
  bool wait_until(std::chrono::time_point<Clock, Duration> at) const {
    return wait({.deadline = sched::deadline_at(at)});
  }
  bool wait(std::stop_token stop) const { return wait({.stop = &stop}); }

 private:
  bool wait(const sched::wait_limit& limit) const;

  mutable sync::wait_queue count_;
};

}  // namespace gofer::inline v0
