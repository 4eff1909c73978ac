#pragma once

#include <cstddef>

#include "sched/fiber.hpp"

namespace gofer::inline v0::sched {

/// A singly linked chain of fibers, first in first out; for one party at a time.
class fiber_list {
 public:
  bool empty() const noexcept { return head_ == nullptr; }
  std::size_t size() const noexcept { return size_; }

  void push(fiber* f) noexcept {
    f->link.set(nullptr);
    if (head_ == nullptr) {
      head_ = f;
    } else {
      tail_->link.set(f);
    }
    tail_ = f;
    ++size_;
  }

  fiber* pop() noexcept {
    fiber* f = head_;
    if (f == nullptr) return nullptr;
    head_ = f->link.get();
    --size_;
    return f;
  }

  void append(fiber_list& other) noexcept {
    if (other.empty()) return;
    if (head_ == nullptr) {
      head_ = other.head_;
    } else {
      tail_->link.set(other.head_);
    }
    tail_ = other.tail_;
    size_ += other.size_;
    other = fiber_list();
  }

 private:
  fiber* head_ = nullptr;
  fiber* tail_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace gofer::inline v0::sched
