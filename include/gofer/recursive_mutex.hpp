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
    enter([this] {
      mutex_.lock();
      return true;
    });
  }
  /// Blocks until the mutex is the caller's (true) or a stop is requested (false).
  bool lock(std::stop_token stop) {
    return enter([&] { return mutex_.lock(std::move(stop)); });
  }
  bool try_lock() {
    return enter([this] { return mutex_.try_lock(); });
  }
  template <class Rep, class Period>
  bool try_lock_for(std::chrono::duration<Rep, Period> d) {
    return enter([&] { return mutex_.try_lock_for(d); });
  }
  template <class Clock, class Duration>
  bool try_lock_until(std::chrono::time_point<Clock, Duration> at) {
    return enter([&] { return mutex_.try_lock_until(at); });
  }
  /// Gives it up, if it was locked once. Aborts if the caller has not locked it.
  void unlock() {
    if (owner_.load(std::memory_order_relaxed) != caller()) [[unlikely]]
      not_locked();
    if (--depth_ != 0) return;
    owner_.store(0, std::memory_order_relaxed);
    mutex_.unlock();
  }

 private:
  /// Tells fibers and threads apart; never 0. To be asked before `owner_` is read: a thread gets its number at its
  /// first use of the library, and it may be that of a thread which has just ended. Whatever that one stored is in
  /// order before, so what is read afterwards is the caller's own number only if the caller has stored it. Read first,
  /// it could be the other thread's.
  static std::uint64_t caller() noexcept;
  [[noreturn]] static void not_locked() noexcept;

  /// True if the caller has the mutex already, or gets it by `lock_it`.
  template <class Lock>
  bool enter(Lock lock_it) {
    const std::uint64_t me = caller();
    if (owner_.load(std::memory_order_relaxed) == me) {
      ++depth_;
      return true;
    }
    if (!lock_it()) return false;
    owner_.store(me, std::memory_order_relaxed);
    depth_ = 1;
    return true;
  }

  mutex mutex_;
  sched::atomic<std::uint64_t> owner_{0};  // written by the owner alone
  std::uint64_t depth_ = 0;                // likewise
};

}  // namespace gofer::inline v0
