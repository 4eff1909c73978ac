#pragma once

#include <atomic>
#include <cstdint>

#include <gofer/detail/arch/asymmetric_fence.hpp>
#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/sched/per_thread.hpp>
#include <gofer/detail/sched/time.hpp>

namespace gofer::inline v0::sync {

/// How many readers are inside of a lock, counted by each thread in a cell of its own, so that readers share no cache
/// line that any of them writes. A reader that moved to another thread leaves there: only the sum over all cells means
/// anything. While closed nobody is counted here, and closing takes over the count.
///
/// A reader marks its cell busy, then looks whether the count is open; who closes it says so, then waits for cells that
/// are busy. One of the two sees the other (Dekker), and the one that closes pays for the fence of both.
class reader_count {
 public:
  /// Counts `change`, 1 or -1, for the calling thread, whose index it is told, with a few plain loads and stores.
  /// False, and nothing is counted: closed, or this thread has no cell yet.
  bool add(int change, unsigned thread) noexcept {
    cell* mine = cells_.find(thread);
    if (mine == nullptr) [[unlikely]]
      return false;
    std::atomic<std::uint64_t>& word = mine->word;
    const std::uint64_t before = word.load(std::memory_order_relaxed);
    word.store(before | cell::busy, std::memory_order_relaxed);
    arch::light_fence();  // pairs with the heavy fence in close
    const bool counts = open_.load(std::memory_order_acquire);
    arch::hand_on(mine);
    word.store(counts ? before + static_cast<std::uint64_t>(change) * cell::one : before, std::memory_order_release);
    return counts;
  }

  /// Makes the calling thread's cell, unless there is one. Throws std::bad_alloc.
  void make_cell() { cells_.own(); }

  // By one at a time, under the lock of who has the count:
  void open() noexcept { open_.store(true, std::memory_order_release); }
  /// How many have come in more than have left since it was last closed. What they did before is visible then. Takes
  /// microseconds.
  std::int64_t close() noexcept;
  /// Whether closing has cost less than a tenth of the time since.
  bool worth_opening() const noexcept;

 private:
  struct alignas(arch::cache_line) cell {
    static constexpr std::uint64_t busy = 1;
    static constexpr std::uint64_t one = 2;
    std::atomic<std::uint64_t> word{0};  // written by its thread alone
  };

  std::atomic<bool> open_{false};
  sched::per_thread<cell> cells_;
  std::uint64_t sum_when_closed_ = 0;
  sched::time_point worth_opening_at_{};
};

}  // namespace gofer::inline v0::sync
