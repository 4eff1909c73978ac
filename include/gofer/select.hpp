#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <gofer/chan.hpp>
#include <gofer/context.hpp>

namespace gofer::inline v0 {

namespace channels {

/// One case of a select.
class select_case_base {
 public:
  enum class kind : std::uint8_t { receive, send, timeout, stop, otherwise };

  explicit select_case_base(kind k, channel_base* ch = nullptr) noexcept : kind_(k), channel_(ch) {}
  select_case_base(const select_case_base&) = delete;
  select_case_base& operator=(const select_case_base&) = delete;
  select_case_base(select_case_base&&) = default;
  select_case_base& operator=(select_case_base&&) = default;
  virtual ~select_case_base() = default;

  kind what() const noexcept { return kind_; }

  // Of receive and send:
  /// Null: the case has none, or a nil one, and is never ready.
  channel_base* channel() const noexcept { return channel_; }
  /// From now on the case keeps its channel alive itself.
  virtual void keep_channel() noexcept {}
  /// With the channel's lock: runs the case if it needs no wait. True: it is the one.
  virtual bool try_now(channel_node*& /*counterpart*/) { return false; }
  virtual void* slot() noexcept { return nullptr; }
  /// After a wait in which this case was chosen. `transferred` false: the channel was closed.
  virtual void settle(bool /*transferred*/) {}

  // Of timeout:
  virtual sched::time_point deadline() const noexcept { return sched::no_deadline; }

  // Of stop:
  virtual std::stop_token token() const { return {}; }

  /// Runs the handler of the chosen case.
  virtual void run() = 0;

 private:
  kind kind_;
  channel_base* channel_;
};

/// Chooses and waits; the handler is the caller's to run. Returns the index of the case.
std::size_t choose(std::span<select_case_base* const> cases);

struct no_handler {
  template <class... Args>
  void operator()(Args&&... /*unused*/) const noexcept {}
};

/// A case on a channel, which the handle that it was made from keeps alive; it takes over one that is about to go.
template <class T>
class channel_case : public select_case_base {
 public:
  channel_case(kind k, const channel_ref<T>& ref) noexcept : select_case_base(k, ref.get()) {}
  channel_case(kind k, channel_ref<T>&& ref) noexcept : select_case_base(k, ref.get()), kept_(std::move(ref)) {}
  void keep_channel() noexcept override {
    if (channel() == nullptr || kept_.get() != nullptr) return;
    channel()->retain();
    kept_ = channel_ref<T>(&typed());
  }

 protected:
  gofer::channels::channel<T>& typed() const noexcept {
    return static_cast<gofer::channels::channel<T>&>(*channel());  // only where there is one
  }

 private:
  channel_ref<T> kept_;
};

template <class T, class F>
class receive_case final : public channel_case<T> {
 public:
  template <class Ref>
  receive_case(Ref&& ref, F handler)
      : channel_case<T>(select_case_base::kind::receive, std::forward<Ref>(ref)), handler_(std::move(handler)) {}
  bool try_now(channel_node*& counterpart) override {
    return this->typed().receive_now(value_, counterpart) != attempt::would_wait;
  }
  void* slot() noexcept override { return &value_; }
  void run() override {
    struct emptied {  // what the handler leaves: the next time that would be destroyed with the channels locked
      std::optional<T>& it;
      ~emptied() { it.reset(); }
    } const at_end{value_};
    std::invoke(handler_, std::move(value_));
  }

 private:
  F handler_;
  std::optional<T> value_;  // empty but between being chosen and the handler's return
};

template <class T, class F>
class send_case final : public channel_case<T> {
 public:
  template <class Ref>
  send_case(Ref&& ref, T value, F handler)
      : channel_case<T>(select_case_base::kind::send, std::forward<Ref>(ref)),
        value_(std::move(value)),
        handler_(std::move(handler)) {}
  bool try_now(channel_node*& counterpart) override {
    const attempt done = this->typed().send_now(value_, counterpart);
    closed_ = done == attempt::closed;
    return done != attempt::would_wait;
  }
  void* slot() noexcept override { return &value_; }
  void settle(bool transferred) override { closed_ = !transferred; }
  void run() override {
    if (closed_) throw_closed("select: on_send");
    std::invoke(handler_);
  }

 private:
  T value_;
  F handler_;
  bool closed_ = false;
};

template <class F>
class timeout_case final : public select_case_base {
 public:
  timeout_case(sched::time_point deadline, F handler)
      : select_case_base(kind::timeout), deadline_(deadline), handler_(std::move(handler)) {}
  sched::time_point deadline() const noexcept override { return deadline_; }
  void run() override { std::invoke(handler_); }

 private:
  sched::time_point deadline_;
  F handler_;
};

template <class F>
class stop_case final : public select_case_base {
 public:
  stop_case(std::stop_token token, F handler)
      : select_case_base(kind::stop), token_(std::move(token)), handler_(std::move(handler)) {}
  std::stop_token token() const override { return token_; }
  void run() override { std::invoke(handler_); }

 private:
  std::stop_token token_;
  F handler_;
};

template <class F>
class otherwise_case final : public select_case_base {
 public:
  explicit otherwise_case(F handler) : select_case_base(kind::otherwise), handler_(std::move(handler)) {}
  void run() override { std::invoke(handler_); }

 private:
  F handler_;
};

template <class C>
concept any_case = std::derived_from<std::remove_cvref_t<C>, select_case_base>;

}  // namespace channels

/// Receives from a channel; `f(std::optional<T>)` gets the value, or nothing when the channel is closed and drained.
/// This and on_send refer to `ch`, which has to live as long as the case; a temporary is taken over.
template <class T, class F = channels::no_handler>
auto on_receive(const chan<T>& ch, F f = {}) {
  return channels::receive_case<T, F>(ch.ref(), std::move(f));
}
template <class T, class F = channels::no_handler>
auto on_receive(chan<T>&& ch, F f = {}) {
  return channels::receive_case<T, F>(std::move(ch).ref(), std::move(f));
}
template <class T, class F = channels::no_handler>
auto on_receive(const receiver<T>& ch, F f = {}) {
  return channels::receive_case<T, F>(ch.ref(), std::move(f));
}
template <class T, class F = channels::no_handler>
auto on_receive(receiver<T>&& ch, F f = {}) {
  return channels::receive_case<T, F>(std::move(ch).ref(), std::move(f));
}

/// Sends a value; `f()` runs when it is sent. When the channel is closed the case is chosen, and throws channel_closed.
template <class T, class F = channels::no_handler>
auto on_send(const chan<T>& ch, std::type_identity_t<T> value, F f = {}) {
  return channels::send_case<T, F>(ch.ref(), std::move(value), std::move(f));
}
template <class T, class F = channels::no_handler>
auto on_send(chan<T>&& ch, std::type_identity_t<T> value, F f = {}) {
  return channels::send_case<T, F>(std::move(ch).ref(), std::move(value), std::move(f));
}
template <class T, class F = channels::no_handler>
auto on_send(const sender<T>& ch, std::type_identity_t<T> value, F f = {}) {
  return channels::send_case<T, F>(ch.ref(), std::move(value), std::move(f));
}
template <class T, class F = channels::no_handler>
auto on_send(sender<T>&& ch, std::type_identity_t<T> value, F f = {}) {
  return channels::send_case<T, F>(std::move(ch).ref(), std::move(value), std::move(f));
}

/// Runs `f()` when nothing else has happened within `d` of now, or by `at`.
template <class Rep, class Period, class F = channels::no_handler>
auto on_timeout(std::chrono::duration<Rep, Period> d, F f = {}) {
  return channels::timeout_case<F>(sched::deadline_after(d), std::move(f));
}
template <class Clock, class Duration, class F = channels::no_handler>
auto on_deadline(std::chrono::time_point<Clock, Duration> at, F f = {}) {
  return channels::timeout_case<F>(sched::deadline_at(at), std::move(f));
}

/// Runs `f()` when a stop is requested, or a context is done.
template <class F = channels::no_handler>
auto on_stop(std::stop_token token, F f = {}) {
  return channels::stop_case<F>(std::move(token), std::move(f));
}
template <class F = channels::no_handler>
auto on_done(const context& c, F f = {}) {
  return channels::stop_case<F>(c.token(), std::move(f));
}

/// Runs `f()` when no other case is ready; with it, select does not wait.
template <class F = channels::no_handler>
auto otherwise(F f = {}) {
  return channels::otherwise_case<F>(std::move(f));
}

/// A case of a list that is made at run time; any of the above converts to it. Keeps its channel alive.
class select_case {
 public:
  /// Of what on_receive, on_send, on_timeout and the others return.
  template <channels::any_case C>
  select_case(C c) : case_(std::make_unique<C>(std::move(c))) {  // NOLINT(google-explicit-constructor)
    case_->keep_channel();
  }

  /// For select.
  channels::select_case_base* get() const noexcept { return case_.get(); }

 private:
  std::unique_ptr<channels::select_case_base> case_;
};

/// Waits until one of the cases can go on, does it, runs its handler, and returns its index. Go's select.
///
///     gofer::select(gofer::on_receive(jobs, [&](std::optional<job> j) { ... }),
///                   gofer::on_timeout(1s, [&] { ... }));
///
/// If several are ready one is picked at random, all alike. The others leave no trace: their values are neither sent
/// nor received. Handlers run in the caller, with no lock held; what a handler throws leaves select. Without a case
/// that can ever be ready it waits for ever. A case may be used for one select only.
template <channels::any_case... Cases>
  requires(sizeof...(Cases) > 0)
std::size_t select(Cases&&... cases) {
  const std::array<channels::select_case_base*, sizeof...(Cases)> all{&cases...};
  const std::size_t chosen = channels::choose(all);
  all[chosen]->run();
  return chosen;
}

/// The same for a list made at run time. Receive cases may be used again for another select.
std::size_t select(std::span<select_case> cases);

}  // namespace gofer::inline v0
