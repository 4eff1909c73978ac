#pragma once

#include <cstddef>
#include <forward_list>
#include <utility>
#include <vector>

namespace gofer::inline v0::sched {

/// The addresses of stacks that hold no memory, last in, first out. They come a slab at a time; every one that has come
/// has its room for ever, so that only the making of a slab allocates. For one party at a time.
class cold_stacks {
 public:
  using slab = std::forward_list<std::vector<std::byte*>>;  // of one vector

  /// `made` is full.
  void add(slab made) noexcept {
    // Below the first, which alone may have room left.
    used_.splice_after(used_.empty() ? used_.before_begin() : used_.begin(), std::move(made));
  }

  bool empty() const noexcept { return used_.empty(); }

  void push(std::byte* low) noexcept {
    if (used_.empty() || used_.front().size() == used_.front().capacity()) move_first(spare_, used_);
    used_.front().push_back(low);
  }

  /// Not when empty.
  std::byte* pop() noexcept {
    std::byte* low = used_.front().back();
    used_.front().pop_back();
    if (used_.front().empty()) move_first(used_, spare_);
    return low;
  }

 private:
  static void move_first(slab& from, slab& to) noexcept {
    to.splice_after(to.before_begin(), from, from.before_begin());
  }

  slab used_;   // all but the first are full
  slab spare_;  // all are empty
};

}  // namespace gofer::inline v0::sched
