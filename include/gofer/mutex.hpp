#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <utility>

#include <gofer/detail/arch/restartable.hpp>
#include <gofer/detail/sched/atomic.hpp>
#include <gofer/detail/sync/lock_watch.hpp>
#include <gofer/detail/sync/wait_list.hpp>

namespace gofer::inline v0 {

/// Mutual exclusion between fibers and threads; std::timed_mutex with one thing more, a lock that gives up when a stop
/// is requested. Works with std::unique_lock, std::scoped_lock and std::lock.
///
///     gofer::mutex m;
///     { std::scoped_lock hold(m); ++count; }
///
/// Every unlock happens before the return of the next lock. Waiters get their turn in order, but while they are being
/// woken somebody who runs may get in before them; one that was passed over for a millisecond has the mutex handed to
/// it. A fiber may unlock on another thread than it locked on. Not recursive: locking it again in the same fiber waits
/// for ever. May be destroyed as soon as the last holder has unlocked it, even while that `unlock` is returning; while
/// somebody waits for it that aborts. One word. Until somebody has to wait for it for the first time, which takes some
/// microseconds more, unlocking costs no locked instruction, where the kernel helps.
class mutex {
 public:
  constexpr mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;
  ~mutex();

  /// Blocks until the mutex is the caller's.
  void lock() {
    sync::lock_watch::intends("mutex::lock", this);
    if (!take()) lock_slow(sched::for_ever);
    sync::lock_watch::locked(this);
  }

  /// Returns false, without waiting, if somebody has the mutex.
  bool try_lock() noexcept {
    sched::point("mutex::try_lock", this);
    return sync::lock_watch::locked(this, take());
  }

  /// Blocks for at most `d`; returns false, leaving nothing behind, if the mutex was not to be had.
  template <class Rep, class Period>
  bool try_lock_for(std::chrono::duration<Rep, Period> d) {
    return lock_until(sched::deadline_after(d));
  }
  template <class Clock, class Duration>
  bool try_lock_until(std::chrono::time_point<Clock, Duration> at) {
    return lock_until(sched::deadline_at(at));
  }

  /// Blocks until the mutex is the caller's (true) or a stop is requested (false).
  bool lock(std::stop_token stop) {
    sync::lock_watch::intends("mutex::lock", this);
    return sync::lock_watch::locked(this, take() || lock_slow({.stop = &stop}));
  }

  /// Gives the mutex up. Aborts if nobody has it.
  void unlock() {
    sync::lock_watch::unlocks("mutex::unlock", this);
    if (!arch::compare_and_clear(word_, locked)) unlock_wanted();
  }

 private:
  bool lock_until(sched::time_point deadline) {
    sched::point("mutex::try_lock_until", this);
    return sync::lock_watch::locked(this, take() || lock_slow({.deadline = deadline}));
  }

  // The word: flags, and the first waiter's node, whose alignment leaves their bits free. While `queue_locked` is set
  // nobody else changes anything but `locked`, and only from clear to set. The first who has to wait sets `wanted`, for
  // good: until then unlocking is a plain store, in which a change that another makes at that moment would be lost.
  // `wanted_soon` is what is put at stake: it is set first, and still there after a restart everywhere.
  static constexpr std::uintptr_t locked = 1;
  static constexpr std::uintptr_t queue_locked = 2;
  static constexpr std::uintptr_t wanted = 4;
  static constexpr std::uintptr_t wanted_soon = 8;
  static constexpr std::uintptr_t flags = locked | queue_locked | wanted | wanted_soon;

  void unlock_wanted() {
    std::uintptr_t seen = locked | wanted;
    if (!word_.compare_exchange_strong(seen, wanted, std::memory_order_release, std::memory_order_relaxed)) {
      unlock_slow();
    }
  }
  bool take() noexcept { return (word_.fetch_or(locked, std::memory_order_acquire) & locked) == 0; }
  static sync::wait_node* first_waiter(std::uintptr_t word) noexcept {
    return reinterpret_cast<sync::wait_node*>(word & ~flags);
  }
  bool lock_slow(const sched::wait_limit& limit) noexcept;
  void unlock_slow() noexcept;
  void want() noexcept;
  void forget(sync::wait_node& node) noexcept;
  std::uintptr_t lock_queue() noexcept;

  sched::atomic<std::uintptr_t> word_{0};
};

inline mutex::~mutex() {
  sync::lock_watch::destroyed(this);
  if (const sync::wait_node* first = first_waiter(word_.load(std::memory_order_acquire))) sync::destroyed_under(*first);
}

/// Every gofer::mutex is timed.
using timed_mutex = mutex;

}  // namespace gofer::inline v0
