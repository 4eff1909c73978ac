#pragma once

#include <cstdint>
#include <vector>

#include "sched/run_ring.hpp"
#include "sched/thread.hpp"

namespace gofer::inline v0::sched {

class runtime;
struct processor;

/// A thread that looks at the processors now and then and mends what a fiber that does not yield would delay: fibers
/// in its processor's `next` slot and ring, timers and sockets that nobody looks at. Where no processor is idle a
/// surplus one stands in for one that stands still. Sleeps while all processors are idle.
class monitor {
 public:
  void start(runtime& r);

  /// A processor has become busy. Cheap while the monitor is awake.
  void wake() noexcept {
    if (asleep_.load(std::memory_order_relaxed)) wake_slow();
  }

  /// Makes the monitor call the hook that was set for it, soon. May be called by signal handlers.
  void request_dump() noexcept {
    dump_wanted_.store(true, std::memory_order_release);
    sleep_.signal();
  }

 private:
  /// What was seen of a processor.
  struct observation {
    unsigned tick = 0;
    time_point since;  // it has stood there, busy
    bool idle = true;
  };

  void run(runtime& r) noexcept;
  std::chrono::nanoseconds look(runtime& r) noexcept;
  bool stands_still(processor& p, observation& seen, time_point time) noexcept;
  bool take_work_of(runtime& r, processor& p) noexcept;
  bool serve_timers(runtime& r, time_point time) noexcept;
  bool serve_sockets(runtime& r, time_point time, std::chrono::nanoseconds unseen) noexcept;
  void fall_asleep(runtime& r) noexcept;
  bool trim_is_due(time_point time) noexcept;
  void wake_slow() noexcept;

  parker sleep_;
  std::atomic<bool> asleep_{false};
  std::atomic<bool> dump_wanted_{false};
  std::vector<observation> seen_;  // by index of the processor
  run_ring taken_;                 // passes what is taken on
  std::uint64_t network_looks_ = 0;
  time_point network_seen_{};  // when that became so, as far as was seen
  time_point trimmed_{};       // when stacks last gave memory back
};

}  // namespace gofer::inline v0::sched
