#pragma once

#include <atomic>
#include <mutex>

#include <gofer/detail/arch/spin_lock.hpp>

#include "sched/fiber_list.hpp"

namespace gofer::inline v0::sched {

/// Runnable fibers that belong to no processor yet: those woken by plain threads, and what overflows the rings.
class shared_queue {
 public:
  /// Without the lock; a moment old.
  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

  void push(fiber* f) noexcept {
    const std::scoped_lock hold(lock_);
    list_.push(f);
    size_.store(list_.size(), std::memory_order_relaxed);
  }

  void push(fiber_list& several) noexcept {
    const std::scoped_lock hold(lock_);
    list_.append(several);
    size_.store(list_.size(), std::memory_order_relaxed);
  }

  /// Takes the first `most`, or all there are.
  fiber_list pop(std::size_t most) noexcept {
    fiber_list taken;
    if (size() == 0) return taken;
    const std::scoped_lock hold(lock_);
    while (taken.size() < most && !list_.empty()) taken.push(list_.pop());
    size_.store(list_.size(), std::memory_order_relaxed);
    return taken;
  }

 private:
  arch::spin_lock lock_;
  fiber_list list_;
  std::atomic<std::size_t> size_{0};
};

}  // namespace gofer::inline v0::sched
