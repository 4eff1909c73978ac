#pragma once

#include <atomic>
#include <cstdint>

#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/sched/point.hpp>

namespace gofer::inline v0 {

/// A 64-bit counter that many may change and read at once, exact at every moment, on a cache line of its own. Every
/// operation is one atomic instruction, and what came before a change happens before a read that sees it. Where many
/// count and few read, sharded_counter is faster by far. Overflow wraps around.
class alignas(arch::cache_line) atomic_counter {
 public:
  /// Starts at `initial`.
  constexpr explicit atomic_counter(std::int64_t initial = 0) noexcept : value_(initial) {}

  /// Returns the new value.
  std::int64_t increment() noexcept { return add(1); }
  std::int64_t decrement() noexcept { return add(-1); }
  std::int64_t add(std::int64_t n) noexcept {
    sched::point("atomic_counter::add", this);
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(value_.fetch_add(n)) + static_cast<std::uint64_t>(n));
  }

  /// The value, by one atomic access.
  std::int64_t load() const noexcept {
    sched::point("atomic_counter::load", this);
    return value_.load();
  }
  void store(std::int64_t value) noexcept {
    sched::point("atomic_counter::store", this);
    value_.store(value);
  }
  /// Returns the value before.
  std::int64_t exchange(std::int64_t value) noexcept {
    sched::point("atomic_counter::exchange", this);
    return value_.exchange(value);
  }
  /// Stores `desired` if the value is `expected`; else false, and `expected` is what the value was.
  bool compare_exchange(std::int64_t& expected, std::int64_t desired) noexcept {
    sched::point("atomic_counter::compare_exchange", this);
    return value_.compare_exchange_strong(expected, desired);
  }

 private:
  std::atomic<std::int64_t> value_;
};

}  // namespace gofer::inline v0
