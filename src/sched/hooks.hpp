#pragma once

#include <atomic>

namespace gofer::inline v0::sched {

class runtime;

/// Where the scheduler reaches what lies above it. Set once, before the runtime starts; empty where a program is built
/// without it.
struct hooks {
  /// Everything is idle: aborts if that can never change. Returns true if it wants to be asked again, though nothing
  /// has happened. Called by the monitor.
  std::atomic<bool (*)(runtime& r) noexcept> all_idle{nullptr};
  /// Somebody asked what all fibers are doing. Called by the monitor.
  std::atomic<void (*)(runtime& r) noexcept> dump{nullptr};
  /// The runtime starts.
  std::atomic<void (*)() noexcept> start{nullptr};
};

extern constinit hooks above;

}  // namespace gofer::inline v0::sched
