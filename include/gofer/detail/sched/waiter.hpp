#pragma once

#include <atomic>
#include <cstdint>
#include <stop_token>

#include <gofer/detail/sched/time.hpp>

namespace gofer::sched {

struct fiber;
struct thread;

/// True once `main` has returned: no fiber runs any more, so nobody should wait for one.
bool stopped() noexcept;

/// How long somebody is ready to wait: until a deadline, until a stop is requested, or for ever.
struct wait_limit {
  time_point deadline = no_deadline;
  std::stop_token stop = {};
};

/// The one way to wait in this library. Whoever waits makes a waiter in its own frame, lets others know where it is
/// (a queue, a descriptor, a timer), and calls `wait`. Others first `claim` it, which exactly one of them can, then do
/// what the claim entitles them to (hand over a value), then `wake` it, which hands it back to its owner: a fiber goes
/// to a run queue, a thread is woken. Both ends of a wake are ordered: all before `claim` happens before what follows
/// `wait`, and so does all before `wake`.
///
/// Rules. `wake` is called once, by the claimer, holding no lock, and is its last touch: the waiter is gone then. A
/// waker of a fiber that is still on its way off its stack waits there for the few instructions that takes; so between
/// letting others know and `wait`, the fiber itself wakes nobody.
class waiter {
 public:
  // Outcomes. `select` uses those from `first_case` on for its cases.
  static constexpr std::uint32_t pending = 0;
  static constexpr std::uint32_t woken = 1;
  static constexpr std::uint32_t timed_out = 2;
  static constexpr std::uint32_t stopped = 3;
  static constexpr std::uint32_t first_case = 4;

  /// For the calling fiber or thread. `reason` outlives the waiter and says what is waited in: "chan::receive".
  explicit waiter(const char* reason) noexcept;
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  /// Wins or loses the right to wake this waiter.
  bool claim(std::uint32_t outcome) noexcept {
    std::uint32_t expected = pending;
    return outcome_.compare_exchange_strong(expected, outcome, std::memory_order_acq_rel, std::memory_order_acquire);
  }

  /// Hands the waiter back to its owner.
  void wake() noexcept;

  /// Blocks the owner until it was claimed and woken; returns the outcome claimed.
  std::uint32_t wait() noexcept;

  /// The same, within a limit: past the deadline the outcome is `timed_out`, on a stop request `stopped`.
  std::uint32_t wait(const wait_limit& limit) noexcept;

  std::uint32_t outcome() const noexcept { return outcome_.load(std::memory_order_acquire); }
  const char* reason() const noexcept { return reason_; }

 private:
  std::uint32_t wait_in_thread(time_point deadline) noexcept;
  std::uint32_t wait_in_fiber(time_point deadline) noexcept;

  std::atomic<std::uint32_t> outcome_{pending};
  bool woken_by_itself_ = false;  // a stop that was requested already runs our callback in our own frame
  fiber* const fiber_;            // null: a plain thread waits
  thread* const thread_;
  const char* const reason_;
};

}  // namespace gofer::sched
