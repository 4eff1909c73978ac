#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <mutex>
#include <vector>

#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/arch/spin_lock.hpp>
#include <gofer/detail/sched/time.hpp>

namespace gofer::inline v0::sched {

class timer_heap;

/// A moment at which something is to happen. Lies in the frame or the object of whoever wants it.
class timer_entry {
 public:
  /// What an expiry leaves to be done once the heap's lock is free: `run(argument)`. Null: nothing.
  struct action {
    void (*run)(void* argument) noexcept = nullptr;
    void* argument = nullptr;
  };

  /// `expire` runs under the heap's lock when the time has come, and may do no more than claim what is due and keep
  /// it alive; the entry may be destroyed as soon as it has returned and the lock is free.
  explicit timer_entry(action (*expire)(timer_entry&) noexcept) noexcept : expire_(expire) {}
  timer_entry(const timer_entry&) = delete;
  timer_entry& operator=(const timer_entry&) = delete;

  /// Whether it is in a heap. May be a moment old, but for who alone adds and cancels it: then it is not added yet.
  bool pending() const noexcept { return heap_.load(std::memory_order_acquire) != nullptr; }

 private:
  friend class timer_heap;
  action (*const expire_)(timer_entry&) noexcept;
  std::int64_t when_ = 0;
  std::atomic<timer_heap*> heap_{nullptr};  // changes under that heap's lock
  timer_entry* child_ = nullptr;
  timer_entry* sibling_ = nullptr;
  timer_entry* previous_ = nullptr;  // the left sibling, or the parent of a first child
};

/// The timers of one processor: an intrusive pairing heap (Fredman, Sedgewick, Sleator and Tarjan, 1986). Adding is
/// one comparison, cancelling a timer that others did not gather under is a few stores, and nothing ever allocates.
class alignas(arch::cache_line) timer_heap {
 public:
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

  /// When the earliest timer is due, in nanoseconds of the steady clock; `never` without timers. May be a moment old.
  std::int64_t earliest() const noexcept { return earliest_.load(std::memory_order_relaxed); }

  /// Returns true if this is now the earliest of the heap.
  bool add(timer_entry& entry, std::int64_t when) noexcept;

  /// Returns true if the entry was in a heap and is no more. After a false its expiry is over or was never due.
  static bool cancel(timer_entry& entry) noexcept;

  /// Expires what is due at `now`, but no more than `most`. Returns how many.
  unsigned expire(std::int64_t now, unsigned most = std::numeric_limits<unsigned>::max()) noexcept;

  // For explorations, which try every order of what is due at one moment; without other threads.
  /// All that is due at `now`, the earliest first, else in no order.
  std::vector<timer_entry*> due(std::int64_t now);
  /// Lets `entry`, which is in this heap, expire before all others.
  void bring_forward(timer_entry& entry) noexcept;

 private:
  static timer_entry* meld(timer_entry* a, timer_entry* b) noexcept;
  static timer_entry* meld_siblings(timer_entry* first) noexcept;
  void remove(timer_entry& entry) noexcept;
  void publish_earliest() noexcept {
    earliest_.store(root_ == nullptr ? never : root_->when_, std::memory_order_relaxed);
  }

  arch::spin_lock lock_;
  timer_entry* root_ = nullptr;
  std::atomic<std::int64_t> earliest_{never};
};

inline std::int64_t to_ns(time_point at) noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
}

}  // namespace gofer::inline v0::sched
