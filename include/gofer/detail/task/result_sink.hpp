#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include <gofer/chan.hpp>
#include <gofer/detail/sched/insist.hpp>
#include <gofer/mutex.hpp>

namespace gofer::inline v0 {

/// What became of one task.
template <class R>
struct task_result {
  std::uint64_t id = 0;                // what `submit` returned for it
  unsigned attempts = 0;               // 0: discarded before the first
  bool timed_out = false;              // the last one was asked to stop after task_timeout, whatever came of it
  std::chrono::nanoseconds waited{0};  // in the queue; only in a pool that is `timed`
  std::chrono::nanoseconds ran{0};     // all attempts; likewise

  /// False if the task failed: `error` says why, `value` throws it.
  bool ok() const noexcept { return returned_.has_value(); }
  /// What the task returned; rethrows what it threw.
  R& value() {
    if (error_ != nullptr) std::rethrow_exception(error_);
    return *returned_;
  }
  /// Null if it is ok.
  std::exception_ptr error() const noexcept { return error_; }
  /// What the error says; empty if it is ok.
  std::string message() const;

  /// For the pool: at most one of these is there.
  std::optional<R> returned_ = {};
  std::exception_ptr error_ = {};
};

namespace tasks {

/// The `what()` of an exception, or "unknown exception".
std::string message_of(const std::exception_ptr& error);

/// Where results go, in order if need be.
template <class R>
class result_sink {
 public:
  result_sink(std::size_t capacity, bool ordered) : channel_(capacity), ordered_(ordered) {}

  const chan<task_result<R>>& channel() const noexcept { return channel_; }
  void close() { channel_.close(); }

  /// That of the channel.
  sched::spin_lock& lock() noexcept { return inside().lock; }
  /// Calls f(), without locks of the pool, for each result that goes out in order.
  void when_one_goes_out(std::function<void()> f) { goes_out_ = std::move(f); }
  /// With the lock: whether a result that is put needs no wait, and nobody has to be woken for it.
  bool has_room() const noexcept {
    return !ordered_ && inside().receivers.empty() && inside().size() < inside().capacity();
  }
  /// Then, still with the lock, puts what `make` returns.
  template <class Make>
  void put_at_once(Make make) noexcept {
    inside().send_made(make);
    ++sent_;
  }

  /// Waits for room while somebody receives, and `ending` is not requested. Until somebody has begun to receive, and
  /// once the pool ends, results are kept however many they are: then waiting might be for ever.
  void put(task_result<R>& result, const std::stop_token& ending) {
    if (!ordered_) return send(result, ending);
    const std::scoped_lock hold(order_lock_);
    const auto ahead = static_cast<std::size_t>(result.id - next_);
    sched::insist([&] {
      while (early_.size() <= ahead) early_.emplace_back();
    });
    moved(result, [&] { early_[ahead].emplace(std::move(result)); });
    for (; !early_.empty() && early_.front(); ++next_) {
      send(*early_.front(), ending);
      early_.pop_front();
      goes_out_();
    }
  }

 private:
  channels::channel<task_result<R>>& inside() const noexcept { return *channel_.ref().get(); }

  void send(task_result<R>& result, const std::stop_token& ending) {
    const auto keeps = [&](bool whatever_comes) {
      return moved(result, [&] { return send_or_keep(result, whatever_comes); });
    };
    if (keeps(false)) return;
    if (!moved(result, [&] { return channel_.send(std::move(result), ending); })) keeps(true);
  }

  /// Calls `f`, which moves the result, until it succeeds. What it throws becomes the result, which then has nothing
  /// any more that throws.
  template <class F>
  static auto moved(task_result<R>& result, F f) {
    for (;;) {
      try {
        return sched::insist(f);
      } catch (...) {
        if (!result.ok()) throw;
        result.error_ = std::current_exception();
        result.returned_.reset();
      }
    }
  }

  /// Without a wait. False: there is no room, somebody receives, and the result need not be kept whatever comes.
  bool send_or_keep(task_result<R>& result, bool whatever_comes) {
    channels::channel_node* receiver = nullptr;
    {
      const std::scoped_lock hold(lock());
      if (inside().send_now(result, receiver) == channels::attempt::would_wait) {
        received_ = received_ || inside().size() < sent_;
        if (received_ && !whatever_comes) return false;
        inside().send_beyond(result, receiver);
      }
      received_ = received_ || receiver != nullptr;
      ++sent_;
    }
    if (receiver != nullptr) receiver->who->wake();
    return true;
  }

  chan<task_result<R>> channel_;
  const bool ordered_;
  // Guarded by the channel's lock:
  std::size_t sent_ = 0;   // without a wait
  bool received_ = false;  // somebody has received a result

  std::function<void()> goes_out_;
  mutex order_lock_;
  std::uint64_t next_ = 1;                           // the one that goes out next; guarded by order_lock_, as are:
  std::deque<std::optional<task_result<R>>> early_;  // that one, and those behind it, as far as they are there
};

}  // namespace tasks

template <class R>
std::string task_result<R>::message() const {
  return error_ == nullptr ? std::string() : tasks::message_of(error_);
}

}  // namespace gofer::inline v0
