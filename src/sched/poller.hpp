#pragma once

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include <gofer/detail/arch/spin_lock.hpp>
#include <gofer/detail/sched/waiter.hpp>

#include "sched/timer_heap.hpp"

namespace gofer::inline v0::sched {

struct thread;

/// One direction of a descriptor: readable or writable. Remembers an edge that nobody waited for.
///
/// The deadlines of its waits share one timer, which is set for the earliest of them and stays set when the wait ends:
/// with a next wait that may last longer, as on a connection that is asked again and again, there is nothing to do, and
/// when it goes off too early it is set anew.
class poll_side : private timer_entry {
 public:
  poll_side() noexcept : timer_entry(&expire) {}

  /// Waits until the kernel has reported this direction since the last `wait`. Callers come here after EAGAIN, or after
  /// a system call that took all there was. One waiter at a time. Returns `woken`, or `timed_out` past the deadline:
  /// whoever changes that calls `nudge` then.
  std::uint32_t wait(const char* reason, const std::atomic<time_point>& deadline) noexcept;

  /// The same for a fiber that rests meanwhile: `pending` if it is to return now, and `self` says later how the wait
  /// has ended; else what `wait` would return at once.
  std::uint32_t rest(std::optional<waiter>& self, const char* reason, const std::atomic<time_point>& deadline) noexcept;

  /// Lets a present or the next `wait` through.
  void notify() noexcept;

  /// Lets a present `wait` through.
  void nudge() noexcept;

  /// The peer has ended its side, or the connection has broken: no further edge will tell of it.
  bool ended() const noexcept { return ended_.load(std::memory_order_acquire); }

 private:
  friend class poller;
  void forget() noexcept;
  std::uint32_t let_in(waiter& self, wait_limit& of_thread, const std::atomic<time_point>& deadline) noexcept;
  void release(bool remember) noexcept;
  void set_alarm(time_point at) noexcept;
  void cancel_alarm() noexcept;
  void on_alarm() noexcept;
  static action expire(timer_entry& entry) noexcept;

  arch::spin_lock lock_;
  bool ready_ = false;
  std::atomic<bool> ended_{false};
  waiter* waiting_ = nullptr;
  time_point until_ = no_deadline;  // of a fiber that waits
  time_point alarm_ = no_deadline;  // the timer is set for this, or goes off now
};

/// What the poller knows of an open descriptor. Records are reused, never freed, and carry a generation, so that an
/// event of a closed descriptor never reaches the connection that got its number or its record.
struct alignas(arch::cache_line) poll_record {
  // What reports an edge needs of a record lies in two lines.
  arch::spin_lock lock;
  std::uint16_t generation = 0;  // guarded by lock
  poll_record* next_free = nullptr;
  poll_side readable;
  poll_side writable;
};

/// The network poller: edge-triggered epoll. A thread that would otherwise sleep waits in it.
class poller {
 public:
  /// Throws std::system_error.
  poller();
  ~poller();
  poller(const poller&) = delete;
  poller& operator=(const poller&) = delete;

  /// Starts watching a non-blocking descriptor. Throws std::system_error.
  poll_record* open(int descriptor);

  /// Stops watching, before the descriptor is closed. Waiters are let through first.
  void close(int descriptor, poll_record* record) noexcept;

  /// What `wait` brought from the kernel.
  struct events {
    static constexpr int most = 128;
    std::array<epoll_event, most> list;
    int count = 0;
  };

  /// Reports what is ready, of at most so many descriptors, without waiting. Returns how many had something.
  unsigned poll(std::size_t most = events::most) noexcept;

  /// Waits for an event, for `interrupt`, or until `deadline` (nanoseconds of the steady clock). Wakes nobody yet.
  void wait(std::int64_t deadline, events& brought) noexcept;

  /// Wakes whoever waited for these events. Returns how many descriptors had something.
  unsigned deliver(const events& brought) noexcept;

  /// Ends a present or the next `wait`.
  void interrupt() noexcept;

  /// How often somebody has looked at the network.
  std::uint64_t looks() const noexcept { return looks_.load(std::memory_order_relaxed); }

  bool watching() const noexcept { return watched_.load(std::memory_order_relaxed) != 0; }

  // One thread at a time may be in `wait`, because an interrupt ends the wait of one thread only, and the kernel picks
  // which. So whoever was taken for work keeps its place until it has left.

  /// True: the caller has the place, and may `wait`.
  bool enter(thread& t) noexcept {
    thread* none = nullptr;
    return sleeper_.compare_exchange_strong(none, &t, std::memory_order_acq_rel);
  }

  /// After `wait`. False: somebody has taken the caller for work; `vacate` follows once it is out of reach.
  bool leave(thread& t) noexcept {
    thread* self = &t;
    return sleeper_.compare_exchange_strong(self, nullptr, std::memory_order_acq_rel);
  }
  void vacate() noexcept { sleeper_.store(nullptr, std::memory_order_release); }

  /// Takes the sleeper for work; who does so interrupts it then. Null if there is none to be had.
  thread* take_sleeper() noexcept {
    thread* sleeper = sleeper_.load(std::memory_order_acquire);
    if (sleeper == nullptr || sleeper == taken()) return nullptr;
    return sleeper_.compare_exchange_strong(sleeper, taken(), std::memory_order_acq_rel) ? sleeper : nullptr;
  }

  /// Somebody is in `wait`, or about to enter or to leave.
  bool occupied() const noexcept { return sleeper_.load(std::memory_order_seq_cst) != nullptr; }

  /// When the sleeper will look at the timers: `nobody` while there is no sleeper.
  static constexpr std::int64_t nobody = std::numeric_limits<std::int64_t>::min();
  std::atomic<std::int64_t> sleeps_until{nobody};

 private:
  explicit poller(int epoll) noexcept : epoll_(epoll) {}

  static thread* taken() noexcept { return reinterpret_cast<thread*>(std::uintptr_t{1}); }

  std::atomic<thread*> sleeper_{nullptr};
  const int epoll_;
  int interrupter_ = -1;
  std::atomic<unsigned> watched_{0};
  std::atomic<std::uint64_t> looks_{0};
  arch::spin_lock lock_;
  poll_record* free_ = nullptr;
};

}  // namespace gofer::inline v0::sched
