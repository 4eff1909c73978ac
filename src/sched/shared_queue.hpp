#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <mutex>
#include <span>
#include <utility>

#include <gofer/detail/arch/spin_lock.hpp>

namespace gofer::inline v0::sched {

struct fiber;

/// Runnable fibers that belong to no processor yet, first in, first out: those woken by plain threads, and what
/// overflows the rings. Holds pointers side by side: a list through the fibers would have each taker wait for one cache
/// line after another, with the lock.
class shared_queue {
 public:
  static constexpr std::size_t room_at_once = 254;

  shared_queue() noexcept = default;
  shared_queue(const shared_queue&) = delete;
  shared_queue& operator=(const shared_queue&) = delete;
  ~shared_queue() {
    while (made_ != nullptr) delete std::exchange(made_, made_->made_before);
  }

  /// There is to be room for all fibers at once, so that a push need not allocate: makes some for `room_at_once` more.
  /// Throws std::bad_alloc.
  void make_room() {
    auto* made = new chunk;
    const std::scoped_lock hold(lock_);
    made->made_before = std::exchange(made_, made);
    made->next = std::exchange(spare_, made);
  }

  /// Without the lock; a moment old.
  std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }

  void push(fiber* f) noexcept { push(std::span(&f, 1)); }

  void push(std::span<fiber* const> several) noexcept {
    const std::scoped_lock hold(lock_);
    for (fiber* f : several) {
      if (end_ == room_at_once) {
        last_ = last_->next = spare_;
        spare_ = spare_->next;
        end_ = 0;
      }
      last_->fibers[end_++] = f;
    }
    size_.store(size() + several.size(), std::memory_order_relaxed);
  }

  /// Fills `taken` with the first ones, as far as there are any; returns how many.
  std::size_t pop(std::span<fiber*> taken) noexcept {
    if (size() == 0) return 0;
    const std::scoped_lock hold(lock_);
    const std::size_t count = std::min(size(), taken.size());
    for (fiber*& f : taken.first(count)) {
      if (begin_ == room_at_once) {
        chunk* done = first_;
        first_ = done->next;
        done->next = spare_;
        spare_ = done;
        begin_ = 0;
      }
      f = first_->fibers[begin_++];
    }
    size_.store(size() - count, std::memory_order_relaxed);
    if (size() == 0) begin_ = end_ = 0;  // in the same chunk
    return count;
  }

 private:
  struct chunk {
    chunk* next = nullptr;         // in the queue, or among the spare ones
    chunk* made_before = nullptr;  // among all
    std::array<fiber*, room_at_once> fibers;
  };

  arch::spin_lock lock_;
  // Guarded by lock_:
  chunk one_more_;  // than is full when all fibers are here: the first and the last may both be so in part
  chunk* first_ = &one_more_;
  chunk* last_ = &one_more_;
  std::size_t begin_ = 0;  // in the first
  std::size_t end_ = 0;    // in the last
  chunk* spare_ = nullptr;
  chunk* made_ = nullptr;
  std::atomic<std::size_t> size_{0};
};

}  // namespace gofer::inline v0::sched
