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
    const std::uint64_t me = caller();
    if (enter_again(me)) return;
    mutex_.lock();
    enter(me);
  }
  /// Blocks until the mutex is the caller's (true) or a stop is requested (false).
  bool lock(std::stop_token stop) {
    const std::uint64_t me = caller();
    return enter_again(me) || entered(me, mutex_.lock(std::move(stop)));
  }
  bool try_lock() {
    const std::uint64_t me = caller();
    return enter_again(me) || entered(me, mutex_.try_lock());
  }
  template <class Rep, class Period>
  bool try_lock_for(std::chrono::duration<Rep, Period> d) {
    const std::uint64_t me = caller();
    return enter_again(me) || entered(me, mutex_.try_lock_for(d));
  }
  template <class Clock, class Duration>
  bool try_lock_until(std::chrono::time_point<Clock, Duration> at) {
    const std::uint64_t me = caller();
    return enter_again(me) || entered(me, mutex_.try_lock_until(at));
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

  bool enter_again(std::uint64_t me) noexcept {
    if (owner_.load(std::memory_order_relaxed) != me) return false;
    ++depth_;
    return true;
  }
  void enter(std::uint64_t me) noexcept {
    owner_.store(me, std::memory_order_relaxed);
    depth_ = 1;
  }
  bool entered(std::uint64_t me, bool locked) noexcept {
    if (locked) enter(me);
    return locked;
  }

  mutex mutex_;
  sched::atomic<std::uint64_t> owner_{0};  // written by the owner alone
  std::uint64_t depth_ = 0;                // likewise
};

}  // namespace gofer::inline v0
