#pragma once

#include <atomic>

#include <gofer/detail/arch/cpu.hpp>

namespace gofer::arch {

/// A lock for a few instructions. Whoever holds one neither blocks nor wakes anybody nor runs users' code other
/// than moves of their values. Works with std::scoped_lock.
class spin_lock {
 public:
  void lock() noexcept {
    if (locked_.exchange(true, std::memory_order_acquire)) lock_slow();
  }
  bool try_lock() noexcept { return !locked_.exchange(true, std::memory_order_acquire); }
  void unlock() noexcept { locked_.store(false, std::memory_order_release); }

 private:
  void lock_slow() noexcept {
    backoff wait;
    do {
      while (locked_.load(std::memory_order_relaxed)) wait();
    } while (locked_.exchange(true, std::memory_order_acquire));
  }

  std::atomic<bool> locked_{false};
};

}  // namespace gofer::arch
