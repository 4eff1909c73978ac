#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <system_error>
#include <utility>

#include <gofer/detail/chan/counted.hpp>
#include <gofer/detail/sched/time.hpp>

namespace gofer::inline v0 {

/// Names a value in a context: the address of the key is its name, so keys are usually static.
template <class T>
class context_key {
 public:
  context_key() = default;
  context_key(const context_key&) = delete;
  context_key& operator=(const context_key&) = delete;
};

/// Tells the parts of a task that it is over: cancelled, or out of time. Go's context.Context, on std::stop_token.
///
///     auto request = gofer::context::background().with_timeout(2s);
///     gofer::select(gofer::on_receive(answers, use), gofer::on_done(request, give_up));
///
/// A handle: copies are the same context. Contexts form a tree: what cancels one cancels those made from it. A child
/// whose last handle is gone is forgotten by its parent.
class context {
 public:
  /// Another handle of the same context.
  context(const context& other) noexcept;
  /// Leaves `other` without a context: it may be assigned to, and destroyed.
  context(context&& other) noexcept;
  context& operator=(const context& other) noexcept;
  context& operator=(context&& other) noexcept;
  ~context();

  /// Never cancelled, no deadline, no values: the root.
  static context background();

  /// A child that `cancel` ends by itself, and that ends with this one.
  context with_cancel() const;
  /// Cancelled with std::errc::timed_out when the time is up; at once if it is.
  template <class Rep, class Period>
  context with_timeout(std::chrono::duration<Rep, Period> d) const {
    return until(sched::deadline_after(d));
  }
  template <class Clock, class Duration>
  context with_deadline(std::chrono::time_point<Clock, Duration> at) const {
    return until(sched::deadline_at(at));
  }
  /// The same context, with a value that `value` finds in it and in those made from it.
  template <class T>
  context with_value(const context_key<T>& key, T value) const {
    return with(&key, std::make_shared<T>(std::move(value)));
  }
  /// The nearest value of that key, or null. Lives as long as this context or one made from it.
  template <class T>
  const T* value(const context_key<T>& key) const {
    return static_cast<const T*>(find(&key));
  }

  /// Cancels this context and all made from it. When it returns they are done, and their stop callbacks have run, or
  /// are being run by one who came earlier. The first cause counts. Does nothing to the background. A `cause` that is
  /// no error stands for operation_canceled.
  void cancel(std::error_code cause = std::make_error_code(std::errc::operation_canceled));

  /// True once it is cancelled, which its deadline does, too, a moment after it has passed.
  bool done() const;
  /// The cause once done, else no error.
  std::error_code error() const;
  std::stop_token token() const;
  std::optional<sched::time_point> deadline() const;

 private:
  class state;
  using reference = channels::counted_ref<state>;
  explicit context(reference s) noexcept;
  context until(sched::time_point deadline) const;
  context with(const void* key, std::shared_ptr<const void> value) const;
  const void* find(const void* key) const;

  reference state_;
};

}  // namespace gofer::inline v0
