#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <mutex>

#include <gofer/detail/arch/spin_lock.hpp>
#include <gofer/detail/sched/thread_index.hpp>

namespace gofer::inline v0::sched {

/// One Cell for each thread that has asked for its own. Cells lie in blocks of doubling size, so that they never move
/// and finding one is a little arithmetic; blocks are made as threads with higher indices come. A thread that ends
/// leaves its cell, with what it holds, to the next thread of that index.
template <class Cell>
class per_thread {
 public:
  per_thread() = default;
  per_thread(const per_thread&) = delete;
  per_thread& operator=(const per_thread&) = delete;
  ~per_thread() {
    for (std::atomic<Cell*>& block : blocks_) delete[] block.load(std::memory_order_relaxed);
  }

  /// The calling thread's. Not to be used across a wait: ask again.
  Cell& own() {
    const std::size_t i = thread_index();
    const std::size_t b = block_of(i);
    Cell* block = blocks_[b].load(std::memory_order_acquire);
    if (block == nullptr) [[unlikely]]
      block = make(b);
    return block[i - first_of(b)];
  }

  /// The cell of that thread, if it has been made.
  Cell* find(unsigned thread) const noexcept {
    const std::size_t b = block_of(thread);
    if (b >= blocks_.size()) return nullptr;
    Cell* block = blocks_[b].load(std::memory_order_acquire);
    return block == nullptr ? nullptr : &block[thread - first_of(b)];
  }

  /// Calls f(cell) for every cell there is, also of threads that never asked for theirs.
  template <class F>
  void for_each(F&& f) const {
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      Cell* block = blocks_[b].load(std::memory_order_acquire);
      if (block == nullptr) continue;
      for (std::size_t i = 0; i < size_of(b); ++i) f(block[i]);
    }
  }

 private:
  // Block 0 is for threads 0 to 3, block b > 0 for those from 2^(b + 1) to 2^(b + 2) - 1.
  static constexpr std::size_t first_of(std::size_t b) noexcept { return b == 0 ? 0 : std::size_t{2} << b; }
  static constexpr std::size_t size_of(std::size_t b) noexcept { return b == 0 ? 4 : std::size_t{2} << b; }
  static constexpr std::size_t block_of(std::size_t i) noexcept {
    return i < 4 ? 0 : static_cast<std::size_t>(std::bit_width(i)) - 2;
  }

  [[gnu::noinline]] Cell* make(std::size_t b) {
    auto* made = new Cell[size_of(b)];
    Cell* expected = nullptr;
    if (blocks_[b].compare_exchange_strong(expected, made, std::memory_order_acq_rel)) return made;
    delete[] made;
    return expected;
  }

  std::array<std::atomic<Cell*>, 24> blocks_{};
};

}  // namespace gofer::inline v0::sched
