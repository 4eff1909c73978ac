#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <stop_token>
#include <utility>

#include <gofer/detail/sync/wait_queue.hpp>

namespace gofer::inline v0 {

namespace sync {

/// A number of permits and those who wait for one.
class semaphore {
 public:
  /// What there is room for.
  static constexpr auto most = static_cast<std::ptrdiff_t>(wait_queue::value(static_cast<wait_queue::word>(-1)));

  constexpr explicit semaphore(std::ptrdiff_t permits) noexcept : permits_(static_cast<std::uint64_t>(permits)) {}

  bool try_acquire() noexcept;
  bool acquire(const sched::wait_limit& limit);
  void release(std::ptrdiff_t n, std::ptrdiff_t up_to);

 private:
  wait_queue permits_;
};

}  // namespace sync

/// std::counting_semaphore for fibers and threads: `acquire` takes a permit, `release` gives some back. Permits go to
/// waiters in order. Every release happens before the return of the acquires that it lets through. May be destroyed as
/// soon as an acquire that got the last permit has returned, even while the release is returning.
template <std::ptrdiff_t LeastMaxValue = std::numeric_limits<int>::max()>
class counting_semaphore {
  static_assert(LeastMaxValue >= 0);

 public:
  /// The most there can be to acquire.
  static constexpr std::ptrdiff_t max() noexcept { return LeastMaxValue; }

  /// With `desired` permits. Throws std::logic_error unless these are from 0 to `max()`.
  constexpr explicit counting_semaphore(std::ptrdiff_t desired = 0) : semaphore_(checked(desired)) {}

  /// Blocks until there is one, and takes it.
  void acquire() { semaphore_.acquire(sched::for_ever); }
  /// Take one if there is one, at once or within the time; return whether there was.
  bool try_acquire() noexcept { return semaphore_.try_acquire(); }
  template <class Rep, class Period>
  bool try_acquire_for(std::chrono::duration<Rep, Period> d) {
    return semaphore_.acquire({.deadline = sched::deadline_after(d)});
  }
  template <class Clock, class Duration>
  bool try_acquire_until(std::chrono::time_point<Clock, Duration> at) {
    return semaphore_.acquire({.deadline = sched::deadline_at(at)});
  }
  /// Returns false if a stop is requested first.
  bool acquire(std::stop_token stop) { return semaphore_.acquire({.stop = &stop}); }

  /// Throws std::logic_error, changing nothing, if there would be more than `max()` permits (2^62 at most) or `n` is
  /// negative.
  void release(std::ptrdiff_t n = 1) { semaphore_.release(n, std::min(max(), sync::semaphore::most)); }

 private:
  static constexpr std::ptrdiff_t checked(std::ptrdiff_t desired) {
    if (desired < 0 || desired > std::min(max(), sync::semaphore::most))
      throw std::logic_error("counting_semaphore: made with permits below 0 or above max()");
    return desired;
  }

  sync::semaphore semaphore_;
};

using binary_semaphore = counting_semaphore<1>;

}  // namespace gofer::inline v0
