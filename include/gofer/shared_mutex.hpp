#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stop_token>
#include <utility>

#include <gofer/detail/sync/lock_watch.hpp>
#include <gofer/detail/sync/reader_count.hpp>
#include <gofer/detail/sync/wait_queue.hpp>

namespace gofer::inline v0 {

/// Many readers or one writer; std::shared_timed_mutex for fibers and threads. Works with std::unique_lock and
/// std::shared_lock. Waiters get their turn in order: a waiting writer holds back the readers that come after it, and
/// readers that wait together are let in together, so neither side starves. Every unlock happens before the return of
/// the locks that it lets in. Readers that get in each other's way, or are many, are counted by each thread apart from
/// then on, and share no cache line that they write; the next writer pays for that with some microseconds. A reader
/// must not lock again while it holds the lock: a writer may have come between. May be destroyed as soon as the last
/// holder has unlocked it.
class shared_mutex {
 public:
  constexpr shared_mutex() noexcept = default;
  ~shared_mutex() {
    sync::lock_watch::destroyed(this);
    delete apart_.load(std::memory_order_relaxed);
  }

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
  void lock_shared();
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
  /// Aborts if no reader has the lock; where readers are counted apart the next writer does.
  void unlock_shared();

 private:
  bool take() noexcept;
  bool take_shared() noexcept;
  bool lock_exclusive(const sched::wait_limit& limit);
  bool lock_as_reader(const sched::wait_limit& limit);
  bool wait_in_line(const char* reason, bool writer, const sched::wait_limit& limit);
  void let_in(std::uint64_t holders);
  void release(std::uint64_t held);
  bool enter() noexcept;
  bool leave() noexcept;
  bool count_apart(int change) noexcept;
  bool begin_counting_apart() noexcept;
  std::uint64_t count_together(std::uint64_t holders) noexcept;

  // The value: whether there is a writer, whether readers may be in apart_, and how many are in here; in two's
  // complement, because while they may be in both they come in here and leave there.
  static constexpr std::uint64_t writer = 1;
  static constexpr std::uint64_t apart = 2;
  static constexpr std::uint64_t reader = 4;
  static constexpr sync::wait_queue::word in_the_way = sync::wait_queue::of(writer) | sync::wait_queue::waiting;
  sync::wait_queue holders_;
  std::atomic<sync::reader_count*> apart_{nullptr};  // once readers got in each other's way, or were many
  std::atomic<std::uint32_t> since_writer_{0};       // about how many readers have come since the last writer
};

}  // namespace gofer::inline v0
