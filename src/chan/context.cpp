#include <gofer/context.hpp>

#include <atomic>
#include <exception>
#include <mutex>

#include <gofer/detail/sched/insist.hpp>
#include <gofer/detail/sched/point.hpp>
#include <gofer/go.hpp>

#include "sched/runtime.hpp"
#include "sched/timer_heap.hpp"

namespace gofer::inline v0 {

/// A node of the tree. It holds its parent; the parent knows it only by a stop callback.
class context::state final : public sched::timer_entry, public std::enable_shared_from_this<state> {
 public:
  explicit state(std::shared_ptr<state> parent, bool cancellable = true)
      : timer_entry(&expire), parent_(std::move(parent)), cancellable_(cancellable) {
    if (parent_ != nullptr) deadline_ = parent_->deadline_;
  }
  ~state() { sched::timer_heap::cancel(*this); }

  /// Follows the parent's cancellation and the deadline. Apart from the constructor, because the timer needs a
  /// shared_ptr.
  void begin(sched::time_point deadline) {
    if (const std::stop_token above = parent_->token(); above.stop_possible()) {
      follow_.emplace(above, follower{this});
    }
    if (deadline >= deadline_) return;
    deadline_ = deadline;
    if (deadline <= sched::now()) return cancel(std::make_error_code(std::errc::timed_out));
    expire_at(deadline);
  }

  void set_value(const void* key, std::shared_ptr<const void> value) {
    key_ = key;
    value_ = std::move(value);
  }
  const void* find(const void* key) const {
    for (const state* s = this; s != nullptr; s = s->parent_.get()) {
      if (s->key_ == key && key != nullptr) return s->value_.get();
    }
    return nullptr;
  }

  /// The nearest node that can be cancelled: nodes that only hold a value share their parent's state.
  const state& canceller() const {
    const state* s = this;
    while (!s->cancellable_ && s->parent_ != nullptr) s = s->parent_.get();
    return *s;
  }

  void cancel(std::error_code cause) {
    if (!cancellable_) return;
    sched::point("context::cancel", this);
    {
      const std::scoped_lock hold(lock_);
      // No error would say "not done".
      if (!cause_) cause_ = cause ? cause : std::make_error_code(std::errc::operation_canceled);
    }
    sched::point("context::cancel: with its cause", this);
    stop_.request_stop();  // now it is done: whoever comes first, for nobody returns before
  }

  /// There is one from the moment on at which the token is stopped.
  std::error_code error() const {
    sched::point("context::error", this);
    if (!stop_.stop_requested()) return {};
    const std::scoped_lock hold(lock_);
    return cause_;
  }
  std::stop_token token() const {
    const state& c = canceller();
    return c.cancellable_ ? c.stop_.get_token() : std::stop_token();
  }
  sched::time_point deadline() const noexcept { return deadline_; }

 private:
  void expire_at(sched::time_point at) {
    sched::runtime::get().add_timer(sched::this_thread(), *this, sched::to_ns(at));
  }

  struct follower {
    state* child;
    void operator()() const {
      const sched::no_points in_callback;
      child->cancel(child->parent_->canceller().error());
    }
  };

  static action expire(timer_entry& entry) noexcept {
    auto& self = static_cast<state&>(entry);
    self.expiring_ = self.weak_from_this().lock();
    if (self.expiring_ == nullptr) return {};  // the last handle is just going
    return {.run =
                [](void* expired) noexcept {
                  const auto s = std::move(static_cast<state*>(expired)->expiring_);
                  try {  // In a fiber, because stop callbacks are users' code and may wait.
                    go([s] { s->cancel(std::make_error_code(std::errc::timed_out)); });
                  } catch (const std::exception&) {  // no memory for it
                    s->expire_at(sched::deadline_after(sched::until_memory));
                  }
                },
            .argument = &self};
  }

  const std::shared_ptr<state> parent_;
  const bool cancellable_;
  sched::time_point deadline_ = sched::no_deadline;
  const void* key_ = nullptr;
  std::shared_ptr<const void> value_;
  mutable arch::spin_lock lock_;
  std::error_code cause_;            // guarded by lock_; set before a stop is requested
  std::shared_ptr<state> expiring_;  // keeps this alive between the timer's expiry and the cancellation
  std::stop_source stop_;
  std::optional<std::stop_callback<follower>> follow_;  // last, so that it goes first
};

context context::background() {
  static const auto root = std::make_shared<state>(nullptr, false);
  return context(root);
}

context context::with_cancel() const { return until(sched::no_deadline); }

context context::until(sched::time_point deadline) const {
  auto child = std::make_shared<state>(state_);
  child->begin(deadline);
  return context(std::move(child));
}

context context::with(const void* key, std::shared_ptr<const void> value) const {
  auto child = std::make_shared<state>(state_, false);
  child->set_value(key, std::move(value));
  return context(std::move(child));
}

const void* context::find(const void* key) const { return state_->find(key); }

void context::cancel(std::error_code cause) { const_cast<state&>(state_->canceller()).cancel(cause); }

bool context::done() const { return static_cast<bool>(error()); }

std::error_code context::error() const { return state_->canceller().error(); }

std::stop_token context::token() const { return state_->token(); }

std::optional<sched::time_point> context::deadline() const {
  if (state_->deadline() == sched::no_deadline) return std::nullopt;
  return state_->deadline();
}

}  // namespace gofer::inline v0
