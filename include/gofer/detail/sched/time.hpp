#pragma once

#include <chrono>
#include <limits>

namespace gofer::inline v0::sched {

using clock = std::chrono::steady_clock;
using time_point = clock::time_point;

/// "Never": a wait with this deadline is not bounded by time.
inline constexpr time_point no_deadline = time_point::max();

/// The library's one source of time.
time_point now() noexcept;

/// `now() + d` for a duration of any unit, without overflow: what is too far ahead is `no_deadline`.
template <class Rep, class Period>
time_point deadline_after(std::chrono::duration<Rep, Period> d) noexcept {
  using seconds = std::chrono::duration<long double>;
  const time_point at = now();
  if (d <= d.zero()) return at;
  if (seconds(d) >= seconds(no_deadline - at)) return no_deadline;
  return at + std::chrono::ceil<clock::duration>(d);
}

/// `d` in nanoseconds, rounded up, and without overflow: the longest or the shortest there are for what is beyond.
template <class Rep, class Period>
std::chrono::nanoseconds in_nanoseconds(std::chrono::duration<Rep, Period> d) noexcept {
  using seconds = std::chrono::duration<long double>;
  using std::chrono::nanoseconds;
  if (seconds(d) >= seconds(nanoseconds::max())) return nanoseconds::max();
  if (seconds(d) <= seconds(nanoseconds::min())) return nanoseconds::min();
  return std::chrono::ceil<nanoseconds>(d);
}

/// A deadline of any clock as one of ours.
template <class Clock, class Duration>
time_point deadline_at(std::chrono::time_point<Clock, Duration> at) noexcept {
  if constexpr (std::is_same_v<Clock, clock>) {
    if (at >= std::chrono::time_point_cast<Duration>(no_deadline)) return no_deadline;
    return std::chrono::ceil<clock::duration>(at);
  } else {
    return deadline_after(at - Clock::now());
  }
}

}  // namespace gofer::inline v0::sched
