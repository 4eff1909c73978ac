#include "sched/timer_heap.hpp"

#include <utility>

namespace gofer::inline v0::sched {

timer_entry* timer_heap::meld(timer_entry* a, timer_entry* b) noexcept {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  if (b->when_ < a->when_) std::swap(a, b);
  b->sibling_ = a->child_;
  if (b->sibling_ != nullptr) b->sibling_->previous_ = b;
  b->previous_ = a;
  a->child_ = b;
  return a;
}

/// Melds a list of siblings into one heap: in pairs from the left, then the pairs from the right.
timer_entry* timer_heap::meld_siblings(timer_entry* first) noexcept {
  timer_entry* pairs = nullptr;  // linked by sibling_, the last pair first
  while (first != nullptr) {
    timer_entry* a = std::exchange(first, first->sibling_);
    timer_entry* b = first;
    if (b != nullptr) first = b->sibling_;
    a->sibling_ = a->previous_ = nullptr;
    if (b != nullptr) b->sibling_ = b->previous_ = nullptr;
    timer_entry* pair = meld(a, b);
    pair->sibling_ = pairs;
    pairs = pair;
  }
  timer_entry* whole = nullptr;
  while (pairs != nullptr) {
    timer_entry* pair = std::exchange(pairs, pairs->sibling_);
    pair->sibling_ = nullptr;
    whole = meld(whole, pair);
  }
  return whole;
}

void timer_heap::remove(timer_entry& entry) noexcept {
  timer_entry* below = meld_siblings(entry.child_);
  if (&entry == root_) {
    root_ = below;
  } else {
    if (entry.previous_->child_ == &entry) {
      entry.previous_->child_ = entry.sibling_;
    } else {
      entry.previous_->sibling_ = entry.sibling_;
    }
    if (entry.sibling_ != nullptr) entry.sibling_->previous_ = entry.previous_;
    root_ = meld(root_, below);
  }
  entry.child_ = entry.sibling_ = entry.previous_ = nullptr;
}

bool timer_heap::add(timer_entry& entry, std::int64_t when) noexcept {
  const std::scoped_lock hold(lock_);
  entry.when_ = when;
  entry.heap_.store(this, std::memory_order_release);
  root_ = meld(root_, &entry);
  if (root_ != &entry) return false;
  publish_earliest();
  return true;
}

bool timer_heap::cancel(timer_entry& entry) noexcept {
  timer_heap* heap = entry.heap_.load(std::memory_order_acquire);
  if (heap == nullptr) return false;
  const std::scoped_lock hold(heap->lock_);
  if (entry.heap_.load(std::memory_order_relaxed) != heap) return false;  // it expired meanwhile
  const bool first = &entry == heap->root_;
  heap->remove(entry);
  entry.heap_.store(nullptr, std::memory_order_relaxed);
  if (first) heap->publish_earliest();
  return true;
}

unsigned timer_heap::expire(std::int64_t now, unsigned most) noexcept {
  unsigned count = 0;
  while (count < most && earliest() <= now) {
    timer_entry::action after;
    {
      const std::scoped_lock hold(lock_);
      timer_entry* due = root_;
      if (due == nullptr || due->when_ > now) break;
      remove(*due);
      publish_earliest();
      after = due->expire_(*due);
      due->heap_.store(nullptr, std::memory_order_release);  // the last touch: a canceller may destroy the entry now
    }
    if (after.run != nullptr) after.run(after.argument);
    ++count;
  }
  return count;
}

std::vector<timer_entry*> timer_heap::due(std::int64_t now) {
  const std::scoped_lock hold(lock_);
  std::vector<timer_entry*> all;
  const auto add_if_due = [&](timer_entry* entry) {
    if (entry != nullptr && entry->when_ <= now) all.push_back(entry);
  };
  add_if_due(root_);
  for (std::size_t i = 0; i < all.size(); ++i) {  // it grows on the way; what is below later ones is later
    for (timer_entry* child = all[i]->child_; child != nullptr; child = child->sibling_) add_if_due(child);
  }
  return all;
}

void timer_heap::bring_forward(timer_entry& entry) noexcept {
  const std::scoped_lock hold(lock_);
  const std::int64_t before_all = root_->when_ - 1;
  remove(entry);
  entry.when_ = before_all;
  root_ = meld(root_, &entry);
  publish_earliest();
}

}  // namespace gofer::inline v0::sched
