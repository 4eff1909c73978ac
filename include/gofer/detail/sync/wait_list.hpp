#pragma once

#include <cstdint>

#include <gofer/detail/sched/point.hpp>
#include <gofer/detail/sched/waiter.hpp>

namespace gofer::inline v0::sync {

/// A waiter's place in one queue. `select` has one waiter and many of these.
struct wait_node {
  explicit wait_node(sched::waiter& w) noexcept : who(&w) {}

  sched::waiter* who;
  wait_node* next = nullptr;
  wait_node* previous = nullptr;  // in a list; the first has none
  wait_node* last = nullptr;      // of the first in a list: the last one
  bool linked = false;
};

/// Waiters that were claimed while a lock was held, to be woken once it is free. Every node is read before its waiter
/// is woken, never after.
class claimed_list {
 public:
  /// Takes over a node that is in no list and whose waiter the caller has claimed.
  void push(wait_node& n) noexcept {
    n.next = nullptr;
    if (first_ == nullptr) {
      first_ = &n;
    } else {
      last_->next = &n;
    }
    last_ = &n;
  }

  bool empty() const noexcept { return first_ == nullptr; }

  void wake() noexcept {
    for (wait_node* n = first_; n != nullptr;) {
      wait_node* next = n->next;
      n->who->wake();
      n = next;
    }
    first_ = nullptr;
  }

 private:
  wait_node* first_ = nullptr;
  wait_node* last_ = nullptr;
};

/// Those who wait, first in first out: a doubly linked list of nodes in the waiters' frames. One pointer in size. The
/// owner brings the lock.
class wait_list {
 public:
  constexpr wait_list() noexcept = default;
  constexpr explicit wait_list(wait_node* head) noexcept : head_(head) {}

  bool empty() const noexcept { return head_ == nullptr; }
  wait_node* front() const noexcept { return head_; }

  void push_back(wait_node& n) noexcept {
    sched::note_waiting(1);
    n.linked = true;
    n.next = nullptr;
    if (head_ == nullptr) {
      n.previous = nullptr;
      n.last = &n;
      head_ = &n;
      return;
    }
    n.previous = head_->last;
    head_->last->next = &n;
    head_->last = &n;
  }

  void push_front(wait_node& n) noexcept {
    sched::note_waiting(1);
    n.linked = true;
    n.previous = nullptr;
    n.next = head_;
    n.last = head_ == nullptr ? &n : head_->last;
    if (head_ != nullptr) head_->previous = &n;
    head_ = &n;
  }

  wait_node* pop_front() noexcept {
    wait_node* n = head_;
    if (n != nullptr) remove(*n);
    return n;
  }

  /// Removes the first waiter that can still be claimed, and claims it. Null if there is none.
  wait_node* claim_first() noexcept {
    while (wait_node* n = pop_front()) {
      if (n->who->claim(sched::waiter::woken)) return n;
    }
    return nullptr;
  }

  /// Removes and claims all who can be claimed.
  void claim_all(claimed_list& claimed) noexcept {
    while (wait_node* n = claim_first()) claimed.push(*n);
  }

  /// Returns false if the node was not in the list any more.
  bool remove(wait_node& n) noexcept {
    if (!n.linked) return false;
    sched::note_waiting(-1);
    n.linked = false;
    if (n.next != nullptr) {
      n.next->previous = n.previous;
    } else if (&n != head_) {
      head_->last = n.previous;
    }
    if (&n == head_) {
      head_ = n.next;
      if (head_ != nullptr) head_->last = n.last;
    } else {
      n.previous->next = n.next;  // NOLINT(clang-analyzer-core.NullDereference): only the first has none
    }
    return true;
  }

 private:
  wait_node* head_ = nullptr;
};

/// For a primitive that is destroyed while somebody waits for it: aborts and says who, unless the program is ending and
/// has abandoned its fibers.
void destroyed_under(const wait_node& first) noexcept;

}  // namespace gofer::inline v0::sync
