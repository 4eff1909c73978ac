#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <tuple>
#include <type_traits>
#include <utility>

#include <gofer/condition_variable.hpp>
#include <gofer/detail/sched/point.hpp>
#include <gofer/go.hpp>

namespace gofer::inline v0 {

template <class R>
class future;

namespace tasks {

struct nothing {};
template <class R>
using stored = std::conditional_t<std::is_void_v<R>, nothing,
                                  std::conditional_t<std::is_reference_v<R>, std::remove_reference_t<R>*, R>>;

/// What a future and the one who is to fulfil it share.
template <class R>
class outcome {
 public:
  template <class F>
  void run(F&& f) noexcept {
    try {
      if constexpr (std::is_void_v<R>) {
        std::invoke(std::forward<F>(f));
        value_.emplace();
      } else if constexpr (std::is_reference_v<R>) {
        R result = std::invoke(std::forward<F>(f));
        value_.emplace(&result);
      } else {
        value_.emplace(std::invoke(std::forward<F>(f)));
      }
    } catch (...) {
      error_ = std::current_exception();
    }
    finish();  // nothing of the result is left here by now, nor of the exception
  }

  void fail(std::exception_ptr error) noexcept {
    error_ = std::move(error);
    finish();
  }

  void wait() {
    std::unique_lock hold(lock_);
    changed_.wait(hold, [&] { return settled_; });
  }
  bool wait(const std::stop_token& stop) {
    std::unique_lock hold(lock_);
    return changed_.wait(hold, stop, [&] { return settled_; });
  }
  bool wait_until(sched::time_point deadline) {
    std::unique_lock hold(lock_);
    return changed_.wait_until(hold, deadline, [&] { return settled_; });
  }

  /// Waits, for nobody who would take the result.
  void drop() {
    wait();
    value_.reset();
    error_ = nullptr;
  }

  /// After a wait, once. Leaves nothing here: whoever was to fulfil it may keep this for a moment more.
  R take() {
    if (error_ != nullptr) std::rethrow_exception(std::move(error_));
    if constexpr (std::is_reference_v<R>) {
      return static_cast<R>(**value_);
    } else if constexpr (!std::is_void_v<R>) {
      R taken = std::move(*value_);
      value_.reset();
      return taken;
    }
  }

 private:
  void finish() noexcept {
    {
      const std::scoped_lock hold(lock_);
      settled_ = true;
      changed_.notify_all();
    }
    sched::point("future: the result is there", this);
  }

  mutex lock_;
  condition_variable changed_;
  bool settled_ = false;  // guarded by lock_; from then on one of these is there, and the future's:
  std::optional<stored<R>> value_;
  std::exception_ptr error_;
};

template <class R>
future<R> make_future(std::shared_ptr<outcome<R>> shared, bool joins) {
  return future<R>(std::move(shared), joins);
}

}  // namespace tasks

/// A result that is to come; std::future for fibers and threads. One of gofer::async waits for its fiber when it is
/// destroyed, one of a pool does not.
template <class R>
class future {
 public:
  future() noexcept = default;
  /// Leaves `other` without a result to come; what was to come here before is given up as by the destructor.
  future(future&& other) noexcept : outcome_(std::move(other.outcome_)), joins_(other.joins_) {}
  future& operator=(future&& other) noexcept {
    future old(std::move(*this));
    outcome_ = std::move(other.outcome_);
    joins_ = other.joins_;
    return *this;
  }
  ~future() {
    if (outcome_ != nullptr && joins_) outcome_->drop();
  }

  /// False for one that was made empty, moved from, or asked for its result. All below throw std::future_error
  /// (no_state) then.
  bool valid() const noexcept { return outcome_ != nullptr; }

  /// Blocks until the result is there; returns it, or rethrows what the function threw. Once.
  R get() {
    wait();
    const auto last = std::move(outcome_);
    return last->take();
  }
  void wait() const { checked().wait(); }
  /// Returns false if a stop is requested first.
  bool wait(std::stop_token stop) const { return checked().wait(stop); }
  template <class Rep, class Period>
  std::future_status wait_for(std::chrono::duration<Rep, Period> d) const {
    return status(checked().wait_until(sched::deadline_after(d)));
  }
  template <class Clock, class Duration>
  std::future_status wait_until(std::chrono::time_point<Clock, Duration> at) const {
    return status(checked().wait_until(sched::deadline_at(at)));
  }

 private:
  friend future tasks::make_future<R>(std::shared_ptr<tasks::outcome<R>>, bool);
  future(std::shared_ptr<tasks::outcome<R>> shared, bool joins) noexcept : outcome_(std::move(shared)), joins_(joins) {}

  static std::future_status status(bool ready) noexcept {
    return ready ? std::future_status::ready : std::future_status::timeout;
  }
  tasks::outcome<R>& checked() const {
    if (outcome_ == nullptr) throw std::future_error(std::future_errc::no_state);
    return *outcome_;
  }

  std::shared_ptr<tasks::outcome<R>> outcome_;
  bool joins_ = false;
};

/// Starts `f(args...)` as a fiber and returns its result to come. std::async, without its policies: it always runs
/// beside the caller. `f` and the arguments are destroyed before the result is there.
///
///     auto page = gofer::async(fetch, url);
///     parse(page.get());
template <class F, class... Args>
auto async(F&& f, Args&&... args) -> future<std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>> {
  using result = std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>;
  using call = std::tuple<std::decay_t<F>, std::decay_t<Args>...>;
  auto shared = std::make_shared<tasks::outcome<result>>();
  go([shared, own = std::optional<call>(std::in_place, std::forward<F>(f), std::forward<Args>(args)...)]() mutable {
    shared->run([&]() -> result {
      struct emptied {
        std::optional<call>& it;
        ~emptied() {
          it.reset();
          sched::end_fiber_locals();
        }
      } const at_end{own};
      return std::apply([](auto&... each) -> result { return std::invoke(std::move(each)...); }, *own);
    });
  });
  return tasks::make_future(std::move(shared), true);
}

}  // namespace gofer::inline v0
