#pragma once

#include <gofer/detail/arch/cpu.hpp>

#include "sched/owned.hpp"

namespace gofer::inline v0::sched {

/// Free objects chained by their `link`, last in first out, so that what is reused is still in the cache. For one
/// party at a time; the size may be read by anybody.
template <class T>
class free_list {
 public:
  unsigned size() const noexcept { return size_.get(); }

  void push(T* freed) noexcept {
    freed->link.set(first_.get());
    first_.set(freed);
    size_.add(1);
  }

  /// Null when empty.
  T* pop() noexcept {
    T* first = first_.get();
    if (first == nullptr) return nullptr;
    first_.set(first->link.get());
    size_.add(-1U);
    return first;
  }

  /// Moves the `count` that were freed last, or all there are, to the front of `to`.
  void move(unsigned count, free_list& to) noexcept {
    if (count > size()) count = size();
    if (count == 0) return;
    T* const first = first_.get();
    T* last = first;
    for (unsigned i = 1; i < count; ++i) last = last->link.get();
    first_.set(last->link.get());
    size_.add(-count);
    last->link.set(to.first_.get());
    to.first_.set(first);
    to.size_.add(count);
  }

 private:
  owned<T*> first_;
  owned<unsigned> size_;
};

}  // namespace gofer::inline v0::sched
