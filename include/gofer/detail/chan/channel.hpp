#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include <gofer/detail/chan/counted.hpp>
#include <gofer/detail/sched/atomic.hpp>
#include <gofer/detail/sched/point.hpp>
#include <gofer/detail/sync/wait_list.hpp>

/// What a channel is behind its handles.
namespace gofer::inline v0::channels {

/// Somebody's place in a channel's queue.
struct channel_node : sync::wait_node {
  channel_node(sched::waiter& w, std::uint32_t outcome, void* where) noexcept
      : wait_node(w), claimed_as(outcome), slot(where) {}

  std::uint32_t claimed_as;  // the outcome with which a counterpart claims the waiter
  void* slot;                // a sender's T, a receiver's std::optional<T>
  bool transferred = false;  // false after a claim: the channel was closed
};

/// How a wait ended.
struct waited {
  std::uint32_t outcome;
  bool transferred;  // a counterpart has given or taken the value; else, if woken, the channel was closed
};

enum class attempt { done, would_wait, closed };

/// The part that does not depend on the type of the values.
class channel_base : public counted {
 public:
  explicit channel_base(std::size_t capacity) noexcept : capacity_(capacity) {}
  channel_base(const channel_base&) = delete;
  channel_base& operator=(const channel_base&) = delete;
  virtual ~channel_base() = default;

  void release() noexcept {
    if (drop()) delete this;
  }

  /// Returns false if it was closed before.
  bool close() noexcept;
  bool closed() const noexcept { return closed_.load(std::memory_order_acquire); }
  std::size_t size() const noexcept { return count_.load(std::memory_order_acquire); }
  std::size_t capacity() const noexcept { return capacity_; }

  /// Without the lock, at a guess: whether a receive, or a send, would go on at once.
  bool may_receive() const noexcept { return capacity_ == 0 || size() != 0 || closed(); }
  bool may_send() const noexcept { return size() < capacity_ || capacity_ == 0 || closed(); }

  /// Called with the lock and returns without: enters `queue`, and waits for a counterpart or the end of the limit.
  waited wait(const char* reason, sync::wait_list& queue, void* slot, const sched::wait_limit& limit) noexcept;

  sched::spin_lock lock;      // guards all below; `select` takes several, in one order
  sync::wait_list receivers;  // not empty only while no value is there
  sync::wait_list senders;    // not empty only while there is no room

 protected:
  const std::size_t capacity_;
  sched::atomic<std::size_t> count_{0};  // values in the buffer; written under the lock
  sched::atomic<bool> closed_{false};    // written under the lock
};

template <class T>
class channel : public channel_base {
 public:
  explicit channel(std::size_t capacity) : channel_base(capacity) { reserve(capacity); }
  ~channel() override {
    for (std::size_t left = count_; left > 0; --left) std::destroy_at(&buffer_[std::exchange(head_, after(head_))]);
    if (room_ != 0) std::allocator<T>().deallocate(buffer_, room_);
  }

  /// With the lock: sends `v` if that needs no wait. `counterpart` is set to a receiver to be woken once the lock is
  /// free.
  attempt send_now(T& v, channel_node*& counterpart) {
    if (closed_.load(std::memory_order_relaxed)) return attempt::closed;
    while (!receivers.empty()) {
      auto& node = static_cast<channel_node&>(*receivers.front());
      if (!hand_over(receivers, node, v, *static_cast<std::optional<T>*>(node.slot))) continue;
      counterpart = &node;
      return attempt::done;
    }
    if (count_.load(std::memory_order_relaxed) >= capacity_) return attempt::would_wait;
    push(v);
    return attempt::done;
  }

  /// With the lock, on an open channel with room and no receiver: sends what `make` returns, which is made in its
  /// place.
  template <class Make>
  void send_made(Make&& make) noexcept(noexcept(make())) {
    const std::size_t count = count_.load(std::memory_order_relaxed);
    ::new (static_cast<void*>(place(count))) T(std::forward<Make>(make)());
    count_.store(count + 1, std::memory_order_release);
  }

  /// With the lock, on an open channel: sends `v` without a wait, beyond the capacity if need be.
  void send_beyond(T& v, channel_node*& counterpart) {
    if (send_now(v, counterpart) == attempt::done) return;
    if (count_.load(std::memory_order_relaxed) == room_) reserve(room_ == 0 ? 16 : 2 * room_);
    push(v);
  }

  /// With the lock: receives into `out`, which is empty, if that needs no wait.
  attempt receive_now(std::optional<T>& out, channel_node*& counterpart) {
    if (count_.load(std::memory_order_relaxed) != 0) {
      T& first = buffer_[head_];
      out.emplace(std::move(first));
      std::destroy_at(&first);
      head_ = after(head_);
      // With a sender waiting there are as many as before at every moment: nobody sees one less.
      const std::size_t left = count_.load(std::memory_order_relaxed) - 1;
      if (left >= capacity_ || !refill(left, counterpart)) count_.store(left, std::memory_order_release);
      return attempt::done;
    }
    while (!senders.empty()) {
      auto& node = static_cast<channel_node&>(*senders.front());
      if (!take_over(node, out)) continue;
      counterpart = &node;
      return attempt::done;
    }
    return closed_.load(std::memory_order_relaxed) ? attempt::closed : attempt::would_wait;
  }

 private:
  static constexpr bool moves_safely = std::is_nothrow_move_constructible_v<T>;

  std::size_t after(std::size_t i) const noexcept { return i + 1 == room_ ? 0 : i + 1; }

  /// Moves the values to a buffer of `room` slots.
  void reserve(std::size_t room) {
    if (room == room_) return;
    T* larger = std::allocator<T>().allocate(room);
    const std::size_t count = count_.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < count; ++i) {
      T& value = buffer_[std::exchange(head_, after(head_))];
      std::construct_at(&larger[i], std::move(value));
      std::destroy_at(&value);
    }
    if (room_ != 0) std::allocator<T>().deallocate(buffer_, room_);
    buffer_ = larger;
    room_ = room;
    head_ = 0;
  }

  /// The place of the value that has `before` others before it.
  T* place(std::size_t before) const noexcept {
    const std::size_t at = head_ + before;
    return &buffer_[at < room_ ? at : at - room_];
  }

  void push(T& v) {
    send_made([&]() -> T { return std::move(v); });
  }

  /// Takes a node whose waiter may have given up out of its queue. True: it is ours now.
  static bool claim(sync::wait_list& queue, channel_node& node) noexcept {
    queue.remove(node);
    if (!node.who->claim(node.claimed_as)) return false;
    node.transferred = true;
    return true;
  }

  /// Gives `v` to a waiting receiver. False: it had given up, and `v` is as before. A value whose move may throw is
  /// moved before the claim: until it is out of the queue, the waiter cannot leave, and a throw then changes nothing.
  static bool hand_over(sync::wait_list& queue, channel_node& node, T& v, std::optional<T>& slot) {
    if constexpr (moves_safely) {
      if (!claim(queue, node)) return false;
      slot.emplace(std::move(v));
      return true;
    } else {
      slot.emplace(std::move(v));
      if (claim(queue, node)) return true;
      move_back(v, slot);
      return false;
    }
  }

  /// Takes the value of a waiting sender, likewise.
  bool take_over(channel_node& node, std::optional<T>& out) {
    T& theirs = *static_cast<T*>(node.slot);
    if constexpr (moves_safely) {
      if (!claim(senders, node)) return false;
      out.emplace(std::move(theirs));
      return true;
    } else {
      out.emplace(std::move(theirs));
      if (claim(senders, node)) return true;
      move_back(theirs, out);
      return false;
    }
  }

  /// There is room for one more than `left` values: the first sender's goes into the buffer. False if there is none, or
  /// if its move throws: then the sender keeps its value and its place, and whoever receives next meets it there.
  bool refill(std::size_t left, channel_node*& counterpart) noexcept {
    while (!senders.empty()) {
      auto& node = static_cast<channel_node&>(*senders.front());
      T& theirs = *static_cast<T*>(node.slot);
      T* const free = place(left);
      if constexpr (moves_safely) {
        if (!claim(senders, node)) continue;
        std::construct_at(free, std::move(theirs));
      } else {
        try {
          std::construct_at(free, std::move(theirs));
        } catch (...) {
          return false;
        }
        if (!claim(senders, node)) {
          try {
            restore(theirs, *free);
          } catch (...) {  // nobody's but of the sender, who has given up
          }
          std::destroy_at(free);
          continue;
        }
      }
      counterpart = &node;
      return true;
    }
    return false;
  }

  /// Moves a value back from where nobody wanted it, which is empty then, even if this throws.
  static void move_back(T& origin, std::optional<T>& moved) {
    try {
      restore(origin, *moved);
    } catch (...) {
      moved.reset();
      throw;
    }
    moved.reset();
  }
  static void restore(T& origin, T& moved) {
    if constexpr (std::is_move_assignable_v<T>) {
      origin = std::move(moved);
    } else {
      std::destroy_at(&origin);
      // Ends the program if it throws: nothing would be there to be destroyed.
      [&]() noexcept { std::construct_at(&origin, std::move(moved)); }();
    }
  }

  // room_ slots, of which count_ from head_ on, around the end, hold values.
  T* buffer_ = nullptr;
  std::size_t room_ = 0;
  std::size_t head_ = 0;
};

/// A reference to a channel, or to none: Go's nil.
template <class T>
using channel_ref = counted_ref<channel<T>>;

}  // namespace gofer::inline v0::channels
