#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <gofer/detail/arch/cpu.hpp>

#include "sched/fiber.hpp"

namespace gofer::inline v0::sched {

/// The runnable fibers of one processor, first in first out: its owner pushes and pops, anybody steals. After the ring
/// in Go's scheduler. Head and tail only ever grow; their difference is the length.
class run_ring {
 public:
  static constexpr std::uint32_t capacity = 256;

  /// Owner only. False when full.
  bool push(fiber* f) noexcept {
    const auto tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_.load(std::memory_order_acquire) == capacity) return false;
    slots_[tail % capacity].store(f, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);  // publishes the fiber to thieves
    return true;
  }

  /// Owner only. Null when empty.
  fiber* pop() noexcept {
    auto head = head_.load(std::memory_order_acquire);
    while (head != tail_.load(std::memory_order_relaxed)) {
      fiber* f = slots_[head % capacity].load(std::memory_order_relaxed);
      // Release: a pusher that sees the new head may overwrite the slot that was just read.
      if (!head_.compare_exchange_weak(head, head + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      // Of many, those whose turn is soon may well not be in this core's cache: time to fetch them.
      if (static_cast<std::int32_t>(tail_.load(std::memory_order_relaxed) - head) > many) {
        slots_[(head + ahead) % capacity].load(std::memory_order_relaxed)->prefetch();
        slots_[(head + ahead / 2) % capacity].load(std::memory_order_relaxed)->prefetch_frame();
      }
      return f;
    }
    return nullptr;
  }

  /// Moves half of what is here, rounded up, to the end of `thief`, which is empty and owned by the caller.
  /// Returns how many.
  std::uint32_t steal_half_into(run_ring& thief) noexcept {
    const auto at = thief.tail_.load(std::memory_order_relaxed);
    auto head = head_.load(std::memory_order_acquire);
    for (;;) {
      const auto length = tail_.load(std::memory_order_acquire) - head;
      if (length > capacity) {  // head was read before others moved it on: look again
        head = head_.load(std::memory_order_acquire);
        continue;
      }
      const auto count = length - length / 2;
      if (count == 0) return 0;
      for (std::uint32_t i = 0; i < count; ++i) {
        fiber* f = slots_[(head + i) % capacity].load(std::memory_order_relaxed);
        thief.slots_[(at + i) % capacity].store(f, std::memory_order_relaxed);
      }
      if (head_.compare_exchange_strong(head, head + count, std::memory_order_acq_rel, std::memory_order_acquire)) {
        thief.tail_.store(at + count, std::memory_order_release);
        return count;
      }
    }
  }

  /// How many were here a moment ago; exact for the owner while nobody steals.
  std::uint32_t size() const noexcept {
    const auto head = head_.load(std::memory_order_acquire);
    return tail_.load(std::memory_order_acquire) - head;
  }

 private:
  static constexpr std::uint32_t ahead = 4;
  static constexpr std::int32_t many = 16;

  // Thieves write the head, the owner the tail: on lines of their own.
  alignas(arch::cache_line) std::atomic<std::uint32_t> head_{0};
  alignas(arch::cache_line) std::atomic<std::uint32_t> tail_{0};
  alignas(arch::cache_line) std::array<std::atomic<fiber*>, capacity> slots_{};
};

}  // namespace gofer::inline v0::sched
