#pragma once

#include <array>
#include <cstddef>

#include "sched/fiber.hpp"
#include "sched/owned.hpp"

namespace gofer::inline v0::sched {

/// Free fibers of one processor, last in, first out. Owner only.
class fiber_magazine {
 public:
  static constexpr std::size_t capacity = 512;

  std::size_t size() const noexcept { return size_.get(); }
  void push(fiber* f) noexcept {
    free_[size_.get()].set(f);
    size_.add(1);
  }

  /// Null when empty.
  fiber* pop() noexcept {
    const std::size_t size = size_.get();
    if (size == 0) return nullptr;
    // Another core may have had those that follow last: time to fetch them.
    if (size > ahead) free_[size - 1 - ahead].get()->prefetch();
    size_.set(size - 1);
    return free_[size - 1].get();
  }

  /// Takes out those that were here longest, which are the least likely to be in this core's cache.
  template <std::size_t count>
  std::array<fiber*, count> take_oldest() noexcept {
    std::array<fiber*, count> oldest;
    for (std::size_t i = 0; i < count; ++i) oldest[i] = free_[i].get();
    for (std::size_t i = count; i < size_.get(); ++i) free_[i - count].set(free_[i].get());
    size_.add(-count);
    return oldest;
  }

 private:
  static constexpr std::size_t ahead = 4;

  owned<std::size_t> size_;
  std::array<owned<fiber*>, capacity> free_;
};

}  // namespace gofer::inline v0::sched
