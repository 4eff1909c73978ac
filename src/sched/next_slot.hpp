#pragma once

#include <atomic>

#include <gofer/detail/arch/asymmetric_fence.hpp>
#include <gofer/detail/arch/cpu.hpp>

namespace gofer::inline v0::sched {

struct fiber;

/// The fiber that runs next on a processor: what the running one woke last. Its owner's operations are a few plain
/// stores and loads; the monitor, which alone takes from it otherwise, pays for the order between them. Each side
/// announces itself, fences, and looks for the other: the owner gives way.
class next_slot {
 public:
  /// Anybody; a moment old for all but the owner.
  bool empty() const noexcept { return fiber_.load(std::memory_order_relaxed) == nullptr; }

  /// Owner only. Returns the fiber that was there, or null.
  fiber* exchange(fiber* f) noexcept {
    enter();
    fiber* before = fiber_.load(std::memory_order_acquire);
    fiber_.store(f, std::memory_order_release);
    owner_here_.store(false, std::memory_order_release);
    return before;
  }

  /// The monitor only. Returns the fiber that was there, or null.
  fiber* steal() noexcept {
    if (empty()) return nullptr;
    thief_here_.store(true, std::memory_order_relaxed);
    arch::heavy_fence();  // pairs with the fence in enter
    for (arch::backoff wait; owner_here_.load(std::memory_order_acquire);) wait();
    fiber* f = fiber_.load(std::memory_order_acquire);
    fiber_.store(nullptr, std::memory_order_release);
    thief_here_.store(false, std::memory_order_release);
    return f;
  }

 private:
  void enter() noexcept {
    for (;;) {
      owner_here_.store(true, std::memory_order_relaxed);
      arch::light_fence();  // pairs with the fence in steal
      if (!thief_here_.load(std::memory_order_acquire)) [[likely]]
        return;
      owner_here_.store(false, std::memory_order_release);
      for (arch::backoff wait; thief_here_.load(std::memory_order_acquire);) wait();
    }
  }

  std::atomic<fiber*> fiber_{nullptr};
  std::atomic<bool> owner_here_{false};
  std::atomic<bool> thief_here_{false};
};

}  // namespace gofer::inline v0::sched
