#pragma once

#include <cstdint>

#include <gofer/detail/arch/cpu.hpp>

#include "sched/fiber.hpp"
#include "sched/timer_heap.hpp"

namespace gofer::inline v0::net {
class network;
}

namespace gofer::inline v0::sched {

/// Takes the scheduler's place on one thread, which owns no processor: it is told of every fiber that becomes runnable
/// there, and decides which one runs. All that it has started stays on that thread. See testing/exploration.hpp.
class explorer {
 public:
  explorer() = default;
  explorer(const explorer&) = delete;
  explorer& operator=(const explorer&) = delete;

  virtual void runnable(fiber& f) noexcept = 0;
  /// The running fiber has come to an operation, and may be switched away from.
  virtual void reach(const char* operation, const void* object) noexcept = 0;
  /// The running fiber yields: others are to run first.
  virtual void yields() noexcept = 0;
  /// The timer that expires just now waits for what a fiber has: lets one run, up to its next point.
  virtual void lets_a_fiber_run() noexcept = 0;
  /// The running fiber waits for something outside of the program, which cannot be explored.
  virtual void waits_outside(const char* operation) noexcept = 0;
  /// An exception has left the running fiber; called inside of the handler.
  virtual void threw() noexcept = 0;
  /// As sched::place_in_order.
  virtual std::uintptr_t place_in_order(const void* object) noexcept = 0;
  virtual time_point now() noexcept = 0;
  /// A number below `limit`, each as likely as the others: part of the schedule.
  virtual std::size_t draw(std::size_t limit) noexcept = 0;

  timer_heap timers;
  net::network* network = nullptr;  // stands for the system's
  int without_points = 0;           // no_points alive
  std::int64_t linked = 0;          // wait nodes that are in a list

 protected:
  ~explorer() = default;
};

/// ThreadSanitizer takes every fiber for a thread, and is told that switches order nothing. In an exploration they do:
/// one fiber runs at a time. Around all that fibers and the explorer do to what they share.
class in_order {
 public:
  explicit in_order(const explorer* shared) noexcept : shared_(shared) { arch::take_up(shared); }
  in_order(const in_order&) = delete;
  in_order& operator=(const in_order&) = delete;
  ~in_order() { arch::hand_on(shared_); }

 private:
  const explorer* shared_;
};

/// The calling thread's explorer, or null. One test of a flag while nothing is explored.
explorer* exploring() noexcept;

/// Aborts if the calling thread is a plain one beside an exploration. `operation` is what it was about to do.
void refuse_plain_threads(const char* operation) noexcept;

}  // namespace gofer::inline v0::sched
