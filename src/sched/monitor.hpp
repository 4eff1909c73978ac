#pragma once

#include <cstdint>
#include <vector>

#include "sched/thread.hpp"

namespace gofer::sched {

class runtime;

/// A thread that looks at the processors now and then and mends what a fiber that does not yield would delay: a fiber
/// in its processor's `next` slot, timers and sockets that nobody looks at. Sleeps while all processors are idle.
class monitor {
 public:
  void start(runtime& r);

  /// A processor has become busy. Cheap while the monitor is awake.
  void wake() noexcept {
    if (asleep_.load(std::memory_order_relaxed)) wake_slow();
  }

 private:
  void run(runtime& r) noexcept;
  bool look(runtime& r, std::vector<unsigned>& ticks) noexcept;
  void wake_slow() noexcept;

  parker sleep_;
  std::atomic<bool> asleep_{false};
};

}  // namespace gofer::sched
