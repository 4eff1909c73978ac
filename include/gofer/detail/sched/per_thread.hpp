#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <mutex>

#include <gofer/detail/arch/spin_lock.hpp>
#include <gofer/detail/sched/thread_index.hpp>

namespace gofer::inline v0::sched {

/// One Cell for each thread that has asked for its own. Those of the first threads lie in the object, the others in
/// blocks of doubling size, so that they never move and finding one is a little arithmetic; blocks are made as threads
/// with higher indices come. A thread that ends leaves its cell, with what it holds, to the next thread of that index.
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
    if (i < first_.size()) return first_[i];
    const std::size_t b = block_of(i);
    Cell* block = blocks_[b].load(std::memory_order_acquire);
    if (block == nullptr) [[unlikely]]
      block = make(b);
    return block[i - size_of(b)];
  }

  /// The cell of that thread, if it has been made.
  Cell* find(unsigned thread) noexcept {
    if (thread < first_.size()) return &first_[thread];
    const std::size_t b = block_of(thread);
    if (b >= blocks_.size()) return nullptr;
    Cell* block = blocks_[b].load(std::memory_order_acquire);
    return block == nullptr ? nullptr : &block[thread - size_of(b)];
  }

  /// Calls f(cell) for every cell there is, also of threads that never asked for theirs.
  template <class F>
  void for_each(F&& f) {
    for_each_in(*this, f);
  }
  template <class F>
  void for_each(F&& f) const {
    for_each_in(*this, f);
  }

 private:
  // Block b is for as many threads as come before it: those from 2^(b + 2) to 2^(b + 3) - 1.
  static constexpr std::size_t size_of(std::size_t b) noexcept { return std::size_t{4} << b; }
  static constexpr std::size_t block_of(std::size_t i) noexcept {
    return static_cast<std::size_t>(std::bit_width(i)) - 3;
  }

  template <class Self, class F>
  static void for_each_in(Self& self, F& f) {
    for (auto& cell : self.first_) f(cell);
    for (std::size_t b = 0; b < self.blocks_.size(); ++b) {
      Cell* block = self.blocks_[b].load(std::memory_order_acquire);
      if (block == nullptr) continue;
      for (std::size_t i = 0; i < size_of(b); ++i) f(block[i]);
    }
  }

  [[gnu::noinline]] Cell* make(std::size_t b) {
    auto* made = new Cell[size_of(b)];
    Cell* expected = nullptr;
    if (blocks_[b].compare_exchange_strong(expected, made, std::memory_order_acq_rel)) return made;
    delete[] made;
    return expected;
  }

  std::array<Cell, 4> first_{};
  std::array<std::atomic<Cell*>, 24> blocks_{};
};

}  // namespace gofer::inline v0::sched
