#pragma once

#include <cstdint>
#include <stop_token>

#include <gofer/detail/sched/atomic.hpp>
#include <gofer/detail/sched/time.hpp>

namespace gofer::inline v0::sched {

struct fiber;
struct thread;

/// Who calls.
struct caller {
  thread* on;
  fiber* running;  // null: a plain thread
};
caller who_calls() noexcept;

/// True once `main` has returned: no fiber runs any more, so nobody should wait for one.
bool stopped() noexcept;

/// How long somebody is ready to wait: until a deadline, until a stop is requested, or for ever.
struct wait_limit {
  time_point deadline = no_deadline;
  const std::stop_token* stop = nullptr;  // outlives the limit

  bool stoppable() const noexcept { return stop != nullptr && stop->stop_possible(); }
  bool bounded() const noexcept { return deadline != no_deadline || stoppable(); }
};
inline constexpr wait_limit for_ever{};

/// Who may end a wait, beside what limits it.
enum class wakers : std::uint8_t {
  one_queue,       // whoever takes the waiter out of the one queue that it is in, under that queue's lock
  several_queues,  // whoever comes first of several
  kernel,          // likewise, and what happens outside of the program can make it happen
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

  /// For the calling fiber or thread. `reason` outlives the waiter and says what is waited in, "chan::receive";
  /// `object` which one; the limit outlives the waiter, too.
  waiter(const char* reason, const void* object, const wait_limit& limit, wakers by = wakers::one_queue) noexcept
      : contested_(by != wakers::one_queue || limit.bounded()),
        by_(by),
        self_(who_calls()),
        reason_(reason),
        object_(object),
        limit_(limit) {}
  waiter(const waiter&) = delete;
  waiter& operator=(const waiter&) = delete;

  /// Wins or loses the right to wake this waiter.
  bool claim(std::uint32_t outcome) noexcept {
    if (!contested_) {  // whoever took it out of its queue is the only one
      outcome_.store(outcome, std::memory_order_release);
      return true;
    }
    std::uint32_t expected = pending;
    return outcome_.compare_exchange_strong(expected, outcome, std::memory_order_acq_rel, std::memory_order_acquire);
  }

  /// Hands the waiter back to its owner.
  void wake() noexcept;

  /// Blocks the owner until it was claimed and woken; returns the outcome claimed: past the limit's deadline
  /// `timed_out`, on its stop request `stopped`.
  std::uint32_t wait() noexcept;

  /// Instead of `wait`, for a fiber that is about to return true from its body, which happens next: it waits without a
  /// stack, and is called anew when the waiter was claimed and woken. Then this waiter, which is not in its frame, has
  /// the outcome. Without a limit; by wakers::kernel only.
  void rest() noexcept;

  std::uint32_t outcome() const noexcept { return outcome_.load(std::memory_order_acquire); }

  const caller& owner() const noexcept { return self_; }
  const char* reason() const noexcept { return reason_; }

 private:
  std::uint32_t wait_for_stop() noexcept;
  std::uint32_t block() noexcept;
  std::uint32_t block_thread() noexcept;
  std::uint32_t block_fiber() noexcept;
  void announce(fiber& self) noexcept;

  atomic<std::uint32_t> outcome_{pending};
  const bool contested_;
  const wakers by_;
  bool woken_by_itself_ = false;  // a stop that was requested already runs our callback in our own frame
  const caller self_;
  const char* const reason_;
  const void* const object_;
  const wait_limit& limit_;
};

}  // namespace gofer::inline v0::sched
