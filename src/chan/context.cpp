#include <gofer/context.hpp>

#include <exception>
#include <mutex>
#include <utility>

#include <gofer/detail/sched/insist.hpp>
#include <gofer/detail/sched/point.hpp>
#include <gofer/go.hpp>

#include "sched/runtime.hpp"
#include "sched/timer_heap.hpp"

namespace gofer::inline v0 {

/// A node of the tree. It holds its parent. One that can be cancelled is known to the nearest above it that can, as
/// long as it lives.
class context::state final : public channels::counted, public sched::timer_entry {
 public:
  state(state* parent, bool cancellable)
      : timer_entry(&expire),
        parent_(parent),
        above_(parent == nullptr ? nullptr : parent->canceller()),
        cancellable_(cancellable),
        stop_(cancellable ? std::stop_source() : std::stop_source(std::nostopstate)) {
    if (parent == nullptr) return;
    parent->retain();
    deadline_ = parent->deadline_;
  }
  ~state() {
    sched::timer_heap::cancel(*this);
    if (cancellable_ && above_ != nullptr) above_->forget(*this);
  }
  /// Parents one after another: if each were released by its child's destructor, the stack would have to be as deep as
  /// the tree.
  void release() noexcept {
    for (state* s = this; s != nullptr && s->drop();) {
      state* const parent = s->parent_;
      delete s;
      s = parent;
    }
  }

  /// Follows the cancellation of the one above, and the deadline.
  void begin(sched::time_point deadline) {
    if (above_ != nullptr && !above_->lets_follow(*this)) cancel(above_->error());
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
    for (const state* s = this; s != nullptr; s = s->parent_) {
      if (s->key_ == key && key != nullptr) return s->value_.get();
    }
    return nullptr;
  }

  /// The nearest node that can be cancelled, or null: nodes that only hold a value share the state of the one above.
  state* canceller() noexcept { return cancellable_ ? this : above_; }

  /// Cancels this one and all that follow it, each before its followers, unless somebody else was first: they are done
  /// when it returns. How far it has got the tree says, not the stack: who is done with all that follow it is
  /// forgotten.
  void cancel(std::error_code cause) {
    end(cause);
    for (state* at = this;;) {
      if (state* const follower = at->first_follower()) {
        follower->end(at->error());
        at = follower;
      } else if (at == this) {
        return;
      } else {
        state* const above = at->above_;
        above->forget(*at);
        at->release();
        at = above;
      }
    }
  }

  /// There is one from the moment on at which the token is stopped.
  std::error_code error() const {
    sched::point("context::error", this);
    if (!stop_.stop_requested()) return {};
    const std::scoped_lock hold(lock_);
    return cause_;
  }
  std::stop_token token() const { return stop_.get_token(); }
  sched::time_point deadline() const noexcept { return deadline_; }

 private:
  /// Cancels this one alone.
  void end(std::error_code cause) {
    sched::point("context::cancel", this);
    {
      const std::scoped_lock hold(lock_);
      // No error would say "not done".
      if (!cause_) cause_ = cause ? cause : std::make_error_code(std::errc::operation_canceled);
    }
    sched::point("context::cancel: with its cause", this);
    stop_.request_stop();  // now it is done: whoever comes first, for nobody returns before
  }

  /// False: it is too late, a stop has been requested.
  bool lets_follow(state& child) {
    const std::scoped_lock hold(lock_);
    if (stop_.stop_requested()) return false;
    child.next_ = followers_;
    if (followers_ != nullptr) followers_->link_ = &child.next_;
    followers_ = &child;
    child.link_ = &followers_;
    return true;
  }
  void forget(state& child) {
    const std::scoped_lock hold(lock_);
    unlink(child);
  }
  /// One of those that follow, which the caller has to release; null: there are no more, nor will there be.
  state* first_follower() {
    const std::scoped_lock hold(lock_);
    while (followers_ != nullptr && !followers_->retain_if_alive()) unlink(*followers_);  // about to come for the lock
    return followers_;
  }
  static void unlink(state& child) noexcept {
    if (child.link_ == nullptr) return;
    *child.link_ = child.next_;
    if (child.next_ != nullptr) child.next_->link_ = child.link_;
    child.link_ = nullptr;
  }

  void expire_at(sched::time_point at) {
    sched::runtime::get().add_timer(sched::this_thread(), *this, sched::to_ns(at));
  }

  static action expire(timer_entry& entry) noexcept {
    auto& self = static_cast<state&>(entry);
    if (!self.retain_if_alive()) return {};  // the last handle is just going
    return {.run =
                [](void* expired) noexcept {
                  auto* const s = static_cast<state*>(expired);
                  try {  // In a fiber, because stop callbacks are users' code.
                    go([s] { reference(s)->cancel(std::make_error_code(std::errc::timed_out)); });
                  } catch (const std::exception&) {  // no memory for it
                    s->expire_at(sched::deadline_after(sched::until_memory));
                    s->release();
                  }
                },
            .argument = &self};
  }

  state* const parent_;  // held
  state* const above_;   // the nearest above that can be cancelled, or null
  const bool cancellable_;
  sched::time_point deadline_ = sched::no_deadline;
  const void* key_ = nullptr;
  std::shared_ptr<const void> value_;
  std::stop_source stop_;
  mutable arch::spin_lock lock_;
  std::error_code cause_;       // guarded by lock_; set before a stop is requested
  state* followers_ = nullptr;  // those that end with this; guarded by lock_
  // Its place among the followers of the one above, guarded by that one's lock:
  state* next_ = nullptr;
  state** link_ = nullptr;  // what points to this; null: it is not there
};

context::context(reference s) noexcept : state_(std::move(s)) {}
context::context(const context& other) noexcept = default;
context::context(context&& other) noexcept = default;
context& context::operator=(const context& other) noexcept = default;
context& context::operator=(context&& other) noexcept = default;
context::~context() = default;

context context::background() {
  static auto& root = *new state(nullptr, false);  // for destructors of other static objects, too
  root.retain();
  return context(reference(&root));
}

context context::with_cancel() const { return until(sched::no_deadline); }

context context::until(sched::time_point deadline) const {
  reference child(new state(state_.get(), true));
  child->begin(deadline);
  return context(std::move(child));
}

context context::with(const void* key, std::shared_ptr<const void> value) const {
  reference child(new state(state_.get(), false));
  child->set_value(key, std::move(value));
  return context(std::move(child));
}

const void* context::find(const void* key) const { return state_->find(key); }

void context::cancel(std::error_code cause) {
  const reference held = state_;  // a callback may let go of this very handle
  if (state* const canceller = held->canceller()) canceller->cancel(cause);
}

bool context::done() const { return static_cast<bool>(error()); }

std::error_code context::error() const {
  const state* const canceller = state_->canceller();
  return canceller == nullptr ? std::error_code() : canceller->error();
}

std::stop_token context::token() const {
  const state* const canceller = state_->canceller();
  return canceller == nullptr ? std::stop_token() : canceller->token();
}

std::optional<sched::time_point> context::deadline() const {
  if (state_->deadline() == sched::no_deadline) return std::nullopt;
  return state_->deadline();
}

}  // namespace gofer::inline v0
