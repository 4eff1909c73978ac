#pragma once

#include <cstddef>
#include <forward_list>
#include <utility>
#include <vector>

namespace gofer::inline v0::sched {

/// Pointers to what is free, last in, first out. They come a slab at a time, and every one that has come has its room
/// for ever, so that only the making of a slab allocates. Not linked through what it holds: that need not be memory,
/// and to follow links is to wait, one after another, for what other cores wrote. For one party at a time.
template <class T>
class stock {
 public:
  using slab = std::forward_list<std::vector<T*>>;  // of one vector

  /// To be filled by whoever makes what it is to hold.
  static slab make_slab(std::size_t count) {
    slab made(1);
    made.front().reserve(count);
    return made;
  }

  /// `made` is full.
  void add(slab made) noexcept {
    // Below the first, which alone may have room left.
    used_.splice_after(used_.empty() ? used_.before_begin() : used_.begin(), std::move(made));
  }

  bool empty() const noexcept { return used_.empty(); }

  void push(T* one) noexcept {
    if (used_.empty() || used_.front().size() == used_.front().capacity()) move_first(spare_, used_);
    used_.front().push_back(one);
  }

  /// Not when empty.
  T* pop() noexcept {
    T* one = used_.front().back();
    used_.front().pop_back();
    if (used_.front().empty()) move_first(used_, spare_);
    return one;
  }

 private:
  static void move_first(slab& from, slab& to) noexcept {
    to.splice_after(to.before_begin(), from, from.before_begin());
  }

  slab used_;   // all but the first are full
  slab spare_;  // all are empty
};

}  // namespace gofer::inline v0::sched
