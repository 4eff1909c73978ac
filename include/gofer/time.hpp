#pragma once

#include <chrono>
#include <functional>
#include <initializer_list>
#include <memory>
#include <utility>

#include <gofer/chan.hpp>
#include <gofer/detail/sched/time.hpp>

namespace gofer::inline v0 {

namespace channels {

receiver<sched::time_point> after(sched::time_point deadline);

/// What a ticker and a timer are behind their handles.
class timed_state;
class ticker_state;
class timer_state;
struct retire_timed {
  void operator()(timed_state* state) const noexcept;
};
using timed_handle = std::unique_ptr<timed_state, retire_timed>;

}  // namespace channels

/// A channel that receives the time once, `d` from now.
template <class Rep, class Period>
receiver<sched::time_point> after(std::chrono::duration<Rep, Period> d) {
  return channels::after(sched::deadline_after(d));
}

/// Sends the time into a channel again and again: the n-th tick is due at start + n * period. A receiver that is slower
/// than the ticks misses some; at most one waits for it.
class ticker {
 public:
  /// Throws std::invalid_argument unless the period is positive.
  template <class Rep, class Period>
  explicit ticker(std::chrono::duration<Rep, Period> period) : ticker(sched::in_nanoseconds(period), nullptr) {}
  /// Not closed when the ticker stops, as in Go.
  receiver<sched::time_point> ticks() const;

  /// Starts again with another period, from now: no tick of the old one is sent after this.
  template <class Rep, class Period>
  void reset(std::chrono::duration<Rep, Period> period) {
    start(sched::in_nanoseconds(period));
  }

  /// No tick is sent after this; one that was may wait to be received.
  void stop();

 private:
  ticker(std::chrono::nanoseconds period, std::nullptr_t);
  void start(std::chrono::nanoseconds period);
  channels::ticker_state& state() const noexcept;
  channels::timed_handle state_;
};

/// Calls a function once, in a fiber of its own, when its time has come; Go's time.AfterFunc. Destroying the timer
/// stops it; a call that has begun goes on.
class timer {
 public:
  /// Starts it.
  template <class Rep, class Period>
  timer(std::chrono::duration<Rep, Period> d, std::function<void()> on_expiry)
      : timer(sched::deadline_after(d), std::move(on_expiry)) {}
  /// True if it had not fired, and now will not.
  bool stop();

  /// Lets it fire `d` from now, once. True if it was still to fire.
  template <class Rep, class Period>
  bool reset(std::chrono::duration<Rep, Period> d) {
    return restart(sched::deadline_after(d));
  }

 private:
  timer(sched::time_point deadline, std::function<void()> on_expiry);
  bool restart(sched::time_point deadline);
  channels::timer_state& state() const noexcept;
  channels::timed_handle state_;
};

/// A channel of the given signals as they come to the process; Go's signal.Notify. From the first call on they no
/// longer have their default effect. Up to 16 signals wait to be received, more are dropped. Throws std::system_error
/// for a signal that cannot be caught, and has changed nothing then.
receiver<int> notify_signals(std::initializer_list<int> signals);

}  // namespace gofer::inline v0
