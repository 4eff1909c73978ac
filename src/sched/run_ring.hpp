#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include <gofer/detail/arch/asymmetric_fence.hpp>
#include <gofer/detail/arch/cpu.hpp>

#include "sched/fiber.hpp"

namespace gofer::inline v0::sched {

/// The runnable fibers of one processor, first in first out: its owner pushes and pops, anybody steals. After the ring
/// in Go's scheduler. Head and tail only ever grow; their difference is the length.
///
/// While nobody has stolen for long, the head is the owner's alone, who moves it with plain stores. A thief takes that
/// privilege away, which it pays for with a fence on every core; from then on they move it as equals, with
/// compare-and-swap. The privilege is a bit of the head, so that giving it back makes a thief fail who has looked
/// before. tests/models/run_ring.pml is a model of it.
class run_ring {
 public:
  static constexpr std::uint32_t capacity = 256;

  /// Owner only. False when full.
  bool push(fiber* f) noexcept {
    const auto tail = tail_.load(std::memory_order_relaxed);
    if (tail - first(head_.load(std::memory_order_acquire)) == capacity) return false;
    slots_[tail % capacity].store(f, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);  // publishes the fiber to thieves
    return true;
  }

  /// Owner only. Null when empty.
  fiber* pop() noexcept {
    const auto head = head_.load(std::memory_order_acquire);
    return is_lone(head) && begin_alone() ? pop_alone(head) : pop_among_others();
  }

  /// Moves half of what is here, rounded up, to the end of `thief`, which is empty and owned by the caller.
  /// Returns how many.
  std::uint32_t steal_half_into(run_ring& thief) noexcept {
    const auto at = thief.tail_.load(std::memory_order_relaxed);
    auto head = head_.load(std::memory_order_acquire);
    for (;;) {
      const auto length = tail_.load(std::memory_order_acquire) - first(head);
      if (length > capacity) {  // head was read before others moved it on: look again
        head = head_.load(std::memory_order_acquire);
        continue;
      }
      const auto count = length - length / 2;
      if (count == 0) return 0;
      if (is_lone(head)) {
        end_privilege();
        head = head_.load(std::memory_order_acquire);
        continue;
      }
      for (std::uint64_t i = 0; i < count; ++i) {
        thief.slots_[(at + i) % capacity].store(slot(first(head) + i), std::memory_order_relaxed);
      }
      if (head_.compare_exchange_strong(head, head + count * one, std::memory_order_acq_rel,
                                        std::memory_order_acquire)) {
        stolen_.store(true, std::memory_order_relaxed);
        thief.tail_.store(at + count, std::memory_order_release);
        return static_cast<std::uint32_t>(count);
      }
    }
  }

  /// How many were here a moment ago; exact for the owner while nobody steals.
  std::uint32_t size() const noexcept {
    const auto head = head_.load(std::memory_order_acquire);
    return static_cast<std::uint32_t>(tail_.load(std::memory_order_acquire) - first(head));
  }

  /// Whether the head was its owner's alone a moment ago.
  bool alone() const noexcept { return is_lone(head_.load(std::memory_order_relaxed)); }

 private:
  static constexpr std::uint64_t ahead = 4;
  static constexpr std::uint64_t many = 16;
  /// After so many fibers it is looked whether any was stolen: some milliseconds, beside which what it costs to steal
  /// the first one again is little.
  static constexpr std::uint64_t settled_after = 1U << 18;

  // The head is the number of the first fiber, and a bit.
  static constexpr std::uint64_t lone = 1;  // the head is the owner's alone
  static constexpr std::uint64_t one = 2;
  static bool is_lone(std::uint64_t head) noexcept { return (head & lone) != 0; }
  static std::uint64_t first(std::uint64_t head) noexcept { return head / one; }

  fiber* slot(std::uint64_t number) const noexcept { return slots_[number % capacity].load(std::memory_order_relaxed); }

  /// Of many, those whose turn is soon may well not be in this core's cache: time to fetch them.
  void prefetch_after(std::uint64_t number) const noexcept {
    if (tail_.load(std::memory_order_relaxed) - number <= many) return;
    slot(number + ahead)->prefetch();
    slot(number + ahead / 2)->prefetch_frame();
  }

  fiber* pop_alone(std::uint64_t head) noexcept {
    fiber* f = nullptr;
    if (first(head) != tail_.load(std::memory_order_relaxed)) {
      f = slot(first(head));
      head_.store(head + one, std::memory_order_release);
    }
    end_alone();
    if (f != nullptr) prefetch_after(first(head));
    return f;
  }

  fiber* pop_among_others() noexcept {
    auto head = head_.load(std::memory_order_acquire);
    while (first(head) != tail_.load(std::memory_order_relaxed)) {
      fiber* f = slot(first(head));
      // Release: a pusher that sees the new head may overwrite the slot that was just read.
      if (!head_.compare_exchange_weak(head, head + one, std::memory_order_acq_rel, std::memory_order_acquire))
        continue;
      if (first(head) % settled_after == 0) settle();
      prefetch_after(first(head));
      return f;
    }
    return nullptr;
  }

  /// Owner only, where the head is its own. False: not any more.
  bool begin_alone() noexcept {
    owner_here_.store(true, std::memory_order_relaxed);
    arch::light_fence();  // pairs with the fence in end_privilege
    if (!claimed_.load(std::memory_order_acquire) && is_lone(head_.load(std::memory_order_acquire))) [[likely]]
      return true;
    end_alone();
    head_.fetch_and(~lone, std::memory_order_acq_rel);  // need not wait for the thief to do it
    return false;
  }
  void end_alone() noexcept { owner_here_.store(false, std::memory_order_release); }

  /// Owner only: the head becomes its own, if nobody has stolen since the last call.
  void settle() noexcept {
    if (!arch::has_membarrier || stolen_.exchange(false, std::memory_order_relaxed)) return;
    if (claimed_.load(std::memory_order_acquire)) return;  // by a thief that is not done yet
    head_.fetch_or(lone, std::memory_order_acq_rel);
  }

  /// Thieves. One of them does it, the others wait for it.
  void end_privilege() noexcept {
    if (claimed_.exchange(true, std::memory_order_acq_rel)) {
      for (arch::backoff wait; claimed_.load(std::memory_order_acquire);) wait();
      return;
    }
    arch::heavy_fence();  // pairs with the fence in begin_alone: either the owner sees the claim, or we see it inside
    for (arch::backoff wait; owner_here_.load(std::memory_order_acquire);) wait();
    head_.fetch_and(~lone, std::memory_order_acq_rel);
    claimed_.store(false, std::memory_order_release);
  }

  // Thieves write the head, the owner the tail: on lines of their own.
  alignas(arch::cache_line) std::atomic<std::uint64_t> head_{arch::has_membarrier ? lone : 0};
  std::atomic<bool> stolen_{false};
  std::atomic<bool> owner_here_{false};
  std::atomic<bool> claimed_{false};
  alignas(arch::cache_line) std::atomic<std::uint64_t> tail_{0};
  alignas(arch::cache_line) std::array<std::atomic<fiber*>, capacity> slots_{};
};

}  // namespace gofer::inline v0::sched
