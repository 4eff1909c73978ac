#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <utility>

#include <gofer/mutex.hpp>

namespace gofer::inline v0 {

/// std::recursive_timed_mutex for fibers and threads: the fiber or thread that has it may lock it again, and has to
/// unlock it as often. Aborts when somebody else unlocks it.
class recursive_mutex {
 public:
  constexpr recursive_mutex() noexcept = default;

  /// Blocks until the mutex is the caller's, which it may be already.
  void lock() {
    if (!enter_again()) {
      mutex_.lock();
      enter();
    }
  }
  /// Blocks until the mutex is the caller's (true) or a stop is requested (false).
  bool lock(std::stop_token stop) { return enter_again() || entered(mutex_.lock(std::move(stop))); }
  bool try_lock() { return enter_again() || entered(mutex_.try_lock()); }
  template <class Rep, class Period>
  bool try_lock_for(std::chrono::duration<Rep, Period> d) {
    return enter_again() || entered(mutex_.try_lock_for(d));
  }
  template <class Clock, class Duration>
  bool try_lock_until(std::chrono::time_point<Clock, Duration> at) {
    return enter_again() || entered(mutex_.try_lock_until(at));
  }
  void unlock();

 private:
  bool enter_again() noexcept;
  void enter() noexcept;
  bool entered(bool locked) noexcept {
    if (locked) enter();
    return locked;
  }

  mutex mutex_;
  sched::atomic<std::uint64_t> owner_{0};  // written by the owner alone
  std::uint64_t depth_ = 0;                // likewise
};

}  // namespace gofer::inline v0
