#pragma once

#include <atomic>

#include <gofer/detail/arch/cpu.hpp>

namespace gofer::arch {

/// A lock for a few instructions. Whoever holds one neither blocks nor wakes anybody nor runs users' code other
/// than moves of their values. Works with std::scoped_lock.
template <class Flag, class Backoff>
class basic_spin_lock {
 public:
  void lock() noexcept {
    if (locked_.exchange(true, std::memory_order_acquire)) lock_slow();
  }
  bool try_lock() noexcept { return !locked_.exchange(true, std::memory_order_acquire); }
  void unlock() noexcept { locked_.store(false, std::memory_order_release); }

 private:
  void lock_slow() noexcept {
    Backoff wait;
    do {
      while (locked_.load(std::memory_order_relaxed)) wait();
    } while (locked_.exchange(true, std::memory_order_acquire));
  }

  Flag locked_{false};
};

using spin_lock = basic_spin_lock<std::atomic<bool>, backoff>;

}  // namespace gofer::arch
