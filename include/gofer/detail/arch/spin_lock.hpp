#pragma once

#include <atomic>

#include <gofer/detail/arch/cpu.hpp>

namespace gofer::inline v0::arch {

/// How many pauses to wait for a lock of a few instructions at first: some hundreds of nanoseconds. Whoever met another
/// by chance, between pieces of work of its own, finds it free then.
inline constexpr unsigned while_one_ends = 16;
/// And from then on: some microseconds. Where it is still taken, others take it again and again. They get through
/// hundreds of critical sections meanwhile, in the time that fetching the cache line to and fro takes for ten.
inline constexpr unsigned while_others_work = 128;

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
  [[gnu::noinline]] void lock_slow() noexcept {
    if (got_after(Backoff(while_one_ends))) return;
    Backoff wait(while_others_work);
    while (!got_after(wait)) {
    }
  }

  template <class Wait>
  bool got_after(Wait&& wait) noexcept {
    wait();
    return !locked_.load(std::memory_order_relaxed) && !locked_.exchange(true, std::memory_order_acquire);
  }

  Flag locked_{false};
};

using spin_lock = basic_spin_lock<std::atomic<bool>, backoff>;

}  // namespace gofer::inline v0::arch
