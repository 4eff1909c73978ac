#pragma once

#include <cstdint>

#include <gofer/detail/sched/atomic.hpp>
#include <gofer/detail/sync/wait_list.hpp>

namespace gofer::inline v0::sync {

/// What most primitives consist of: a value, and those who wait for it to change. The value, "somebody waits" and the
/// lock of the list share one atomic word, so that the last thing a waker does to a primitive is one atomic operation,
/// after which the primitive may be destroyed: there is no second look at it that could come too late.
class wait_queue {
 public:
  using word = std::uint64_t;
  static constexpr word locked = 1;   // somebody is at the list; only that one changes the word
  static constexpr word waiting = 2;  // the list is not empty
  static constexpr unsigned value_shift = 2;

  static constexpr word value(word w) noexcept { return w >> value_shift; }
  static constexpr word of(std::uint64_t value) noexcept { return value << value_shift; }

  constexpr explicit wait_queue(std::uint64_t initial = 0) noexcept : word_(of(initial)) {}
  wait_queue(const wait_queue&) = delete;
  wait_queue& operator=(const wait_queue&) = delete;
  ~wait_queue() {
    if ((load() & waiting) != 0) destroyed_under(*front());
  }

  word load(std::memory_order order = std::memory_order_acquire) const noexcept { return word_.load(order); }

  /// Compare-and-swap (weak). Not for words with `locked` set.
  bool replace(word& expected, word desired) noexcept {
    return word_.compare_exchange_weak(expected, desired, std::memory_order_acq_rel, std::memory_order_acquire);
  }

  /// Takes the lock; returns the value.
  std::uint64_t lock() noexcept;

  /// Gives the lock back, with a value. Nothing of the primitive is touched after this.
  void unlock(std::uint64_t value) noexcept {
    word_.store(of(value) | (list_.empty() ? 0 : waiting), std::memory_order_release);
  }

  // With the lock:
  bool empty() const noexcept { return list_.empty(); }
  wait_node* front() const noexcept { return list_.front(); }
  void push_back(wait_node& n) noexcept { list_.push_back(n); }
  wait_node* pop_front() noexcept { return list_.pop_front(); }

  /// Removes the first waiter that can still be claimed, and claims it. Null if there is none.
  wait_node* claim_first() noexcept { return list_.claim_first(); }

  /// Removes and claims all who can be claimed.
  claimed_list claim_all() noexcept {
    claimed_list all;
    list_.claim_all(all);
    return all;
  }

  // Without the lock:
  /// Waits for the node that was pushed. Unless the outcome is `woken` the node has left the list.
  std::uint32_t wait(wait_node& n) noexcept;
  /// Takes out a node whose waiter nobody will wake any more, if it is in the list.
  void leave(wait_node& n) noexcept;
  /// Waits until the value is one that `is_open`; false if the limit comes first. Whoever makes it one claims all who
  /// wait.
  template <class Predicate>
  bool wait_until(Predicate is_open, const char* reason, const sched::wait_limit& limit) {
    sched::point(reason, this);
    if (is_open(value(load()))) return true;
    sched::waiter self(reason, this, limit);
    wait_node node(self);
    const std::uint64_t now = lock();
    const bool open = is_open(now);
    if (!open) push_back(node);
    unlock(now);
    return open || wait(node) == sched::waiter::woken;
  }

 private:
  sched::atomic<word> word_;
  wait_list list_;  // guarded by `locked`
};

}  // namespace gofer::inline v0::sync
