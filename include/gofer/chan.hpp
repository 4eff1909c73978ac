#pragma once

#include <chrono>
#include <cstddef>
#include <iterator>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <utility>

#include <gofer/detail/chan/channel.hpp>

namespace gofer::inline v0 {

enum class chan_status {
  ok,
  empty,   // nothing there at the moment
  closed,  // closed, and drained
  timeout,
  stopped,  // by the stop token
};

/// A send on a closed channel, or a second close.
class channel_closed : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

namespace channels {

[[noreturn]] void throw_closed(const char* operation);

/// Waits for what never comes: what nil channels do.
inline std::uint32_t wait_on_nil(const sched::wait_limit& limit) noexcept {
  sched::waiter self("nil channel", nullptr, limit);
  return self.wait();
}

/// Sends `v`; false if the limit comes first, and `v` is untouched then.
template <class T>
bool send(channel<T>* ch, T& v, const sched::wait_limit& limit) {
  if (ch == nullptr) {
    wait_on_nil(limit);
    return false;
  }
  sched::point("chan::send", ch);
  channel_node* counterpart = nullptr;
  std::unique_lock hold(ch->lock);
  const attempt done = ch->send_now(v, counterpart);
  if (done == attempt::would_wait) {
    hold.release();
    const waited end = ch->wait("chan::send", ch->senders, &v, limit);
    if (end.outcome != sched::waiter::woken) return false;
    if (end.transferred) return true;
    throw_closed("chan::send");
  }
  hold.unlock();
  if (counterpart != nullptr) counterpart->who->wake();
  if (done == attempt::closed) throw_closed("chan::send");
  return true;
}

/// Receives into `out`, which it empties first.
template <class T>
chan_status receive(channel<T>* ch, std::optional<T>& out, const sched::wait_limit& limit) {
  out.reset();
  const auto gave_up = [](std::uint32_t outcome) {
    return outcome == sched::waiter::timed_out ? chan_status::timeout : chan_status::stopped;
  };
  if (ch == nullptr) return gave_up(wait_on_nil(limit));
  sched::point("chan::receive", ch);
  channel_node* counterpart = nullptr;
  std::unique_lock hold(ch->lock);
  const attempt done = ch->receive_now(out, counterpart);
  if (done == attempt::would_wait) {
    hold.release();
    const waited end = ch->wait("chan::receive", ch->receivers, &out, limit);
    if (end.outcome != sched::waiter::woken) return gave_up(end.outcome);
    return end.transferred ? chan_status::ok : chan_status::closed;
  }
  hold.unlock();
  if (counterpart != nullptr) counterpart->who->wake();
  return done == attempt::done ? chan_status::ok : chan_status::closed;
}

template <class T>
bool try_send(channel<T>* ch, T& v) {
  if (ch == nullptr) return false;
  sched::point("chan::try_send", ch);
  channel_node* counterpart = nullptr;
  attempt done{};
  {
    const std::scoped_lock hold(ch->lock);
    done = ch->send_now(v, counterpart);
  }
  if (counterpart != nullptr) counterpart->who->wake();
  if (done == attempt::closed) throw_closed("chan::try_send");
  return done == attempt::done;
}

template <class T>
chan_status try_receive(channel<T>* ch, std::optional<T>& out) {
  out.reset();
  if (ch == nullptr) return chan_status::empty;
  sched::point("chan::try_receive", ch);
  channel_node* counterpart = nullptr;
  attempt done{};
  {
    const std::scoped_lock hold(ch->lock);
    done = ch->receive_now(out, counterpart);
  }
  if (counterpart != nullptr) counterpart->who->wake();
  switch (done) {
    case attempt::done:
      return chan_status::ok;
    case attempt::closed:
      return chan_status::closed;
    default:
      return chan_status::empty;
  }
}

/// The sending half of chan and of sender.
template <class T, class Self>
class sending {
 public:
  /// Blocks until a receiver or the buffer has taken `v`. Throws channel_closed if the channel is or gets closed.
  void send(T v) const { channels::send(channel(), v, sched::for_ever); }

  /// False: it would have to wait, and `v` is untouched. Throws channel_closed.
  bool try_send(T&& v) const { return channels::try_send(channel(), v); }
  bool try_send(const T& v) const
    requires std::copy_constructible<T>
  {
    T copy(v);
    return channels::try_send(channel(), copy);
  }

  /// False: the time was up or a stop requested first, and `v` is untouched. Throw channel_closed.
  template <class Rep, class Period>
  bool send_for(T&& v, std::chrono::duration<Rep, Period> d) const {
    return channels::send(channel(), v, {.deadline = sched::deadline_after(d)});
  }
  template <class Clock, class Duration>
  bool send_until(T&& v, std::chrono::time_point<Clock, Duration> at) const {
    return channels::send(channel(), v, {.deadline = sched::deadline_at(at)});
  }
  bool send(T&& v, std::stop_token stop) const { return channels::send(channel(), v, {.stop = &stop}); }

  /// Says that nothing more will be sent: waiting receivers and those to come get what is in the buffer and then
  /// "closed", waiting senders channel_closed. Throws channel_closed if it was closed before, std::logic_error on nil.
  void close() const {
    if (channel() == nullptr) throw std::logic_error("chan::close: the channel is nil");
    if (!channel()->close()) throw_closed("chan::close");
  }

 private:
  channels::channel<T>* channel() const noexcept { return static_cast<const Self&>(*this).ref().get(); }
};

/// The receiving half of chan and of receiver.
template <class T, class Self>
class receiving {
 public:
  /// Blocks until a value comes. Empty: the channel is closed, and all that was sent has been received.
  std::optional<T> receive() const {
    std::optional<T> out;
    channels::receive(channel(), out, sched::for_ever);
    return out;
  }

  /// These leave `out` empty unless they return `ok`.
  chan_status try_receive(std::optional<T>& out) const { return channels::try_receive(channel(), out); }
  template <class Rep, class Period>
  chan_status receive_for(std::optional<T>& out, std::chrono::duration<Rep, Period> d) const {
    return channels::receive(channel(), out, {.deadline = sched::deadline_after(d)});
  }
  template <class Clock, class Duration>
  chan_status receive_until(std::optional<T>& out, std::chrono::time_point<Clock, Duration> at) const {
    return channels::receive(channel(), out, {.deadline = sched::deadline_at(at)});
  }
  chan_status receive(std::optional<T>& out, std::stop_token stop) const {
    return channels::receive(channel(), out, {.stop = &stop});
  }

  /// Receives at every step, until the channel is closed and drained.
  class iterator {
   public:
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    iterator() = default;
    T& operator*() const { return *value_; }
    iterator& operator++() {
      channels::receive(ref_.get(), value_, sched::for_ever);
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !value_.has_value(); }

   private:
    friend class receiving;
    explicit iterator(channel_ref<T> ref) : ref_(std::move(ref)) { ++*this; }
    channel_ref<T> ref_;
    mutable std::optional<T> value_;
  };
  iterator begin() const { return iterator(static_cast<const Self&>(*this).ref()); }
  std::default_sentinel_t end() const noexcept { return {}; }

 private:
  channels::channel<T>* channel() const noexcept { return static_cast<const Self&>(*this).ref().get(); }
};

/// What can be asked of any handle.
template <class T, class Self>
class observing {
 public:
  bool closed() const noexcept {
    sched::point("chan::closed", channel());
    return channel() != nullptr && channel()->closed();
  }
  /// Values in the buffer, a moment ago.
  std::size_t size() const noexcept {
    sched::point("chan::size", channel());
    return channel() == nullptr ? 0 : channel()->size();
  }
  std::size_t capacity() const noexcept { return channel() == nullptr ? 0 : channel()->capacity(); }

 private:
  channels::channel<T>* channel() const noexcept { return static_cast<const Self&>(*this).ref().get(); }
};

}  // namespace channels

/// A queue of values between fibers and threads, Go's chan. A handle: copies are the same channel, and a const one can
/// do what others can.
///
///     gofer::chan<int> squares;
///     gofer::go([=] {
///       for (int i = 1; i <= 3; ++i) squares.send(i * i);
///       squares.close();
///     });
///     for (int s : squares) std::printf("%d\n", s);
///
/// With capacity 0 a send waits for a receive and the other way round; with more, up to so many values wait in a
/// buffer. Waiters are served in order. A send happens before the return of the receive that gets its value; in a
/// channel of capacity C the k-th receive happens before the return of send k + C. A value is moved exactly once into
/// the channel and once out, under a lock held for that: its move must not wait. If its move throws, the operation that
/// moved throws and the channel goes on.
template <class T>
class chan : public channels::sending<T, chan<T>>,
             public channels::receiving<T, chan<T>>,
             public channels::observing<T, chan<T>> {
 public:
  /// Holds up to `capacity` values; with 0 each send waits for its receive.
  explicit chan(std::size_t capacity = 0) : ref_(new channels::channel<T>(capacity)) {}

  /// Go's nil channel: send and receive wait for ever, a select case on it never runs.
  static chan nil() noexcept { return chan(channels::channel_ref<T>()); }

  /// Whether both are of the same channel.
  bool operator==(const chan&) const noexcept = default;

  /// For select.
  const channels::channel_ref<T>& ref() const& noexcept { return ref_; }
  channels::channel_ref<T> ref() && noexcept { return std::move(ref_); }

 private:
  explicit chan(channels::channel_ref<T> ref) noexcept : ref_(std::move(ref)) {}
  channels::channel_ref<T> ref_;
};

/// A handle that can only send: Go's chan<- T.
template <class T>
class sender : public channels::sending<T, sender<T>>, public channels::observing<T, sender<T>> {
 public:
  /// The sending side of `ch`.
  sender(const chan<T>& ch) noexcept : ref_(ch.ref()) {}  // NOLINT(google-explicit-constructor): as in Go
  /// Whether both are of the same channel.
  bool operator==(const sender&) const noexcept = default;

  /// For select.
  const channels::channel_ref<T>& ref() const& noexcept { return ref_; }
  channels::channel_ref<T> ref() && noexcept { return std::move(ref_); }

 private:
  channels::channel_ref<T> ref_;
};

/// A handle that can only receive: Go's <-chan T.
template <class T>
class receiver : public channels::receiving<T, receiver<T>>, public channels::observing<T, receiver<T>> {
 public:
  /// The receiving side of `ch`.
  receiver(const chan<T>& ch) noexcept : ref_(ch.ref()) {}  // NOLINT(google-explicit-constructor): as in Go
  /// For what makes channels itself: tickers, pools.
  explicit receiver(channels::channel_ref<T> ref) noexcept : ref_(std::move(ref)) {}
  /// Whether both are of the same channel.
  bool operator==(const receiver&) const noexcept = default;

  /// For select.
  const channels::channel_ref<T>& ref() const& noexcept { return ref_; }
  channels::channel_ref<T> ref() && noexcept { return std::move(ref_); }

 private:
  channels::channel_ref<T> ref_;
};

}  // namespace gofer::inline v0
