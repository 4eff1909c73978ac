#include <gofer/time.hpp>

#include <atomic>
#include <exception>
#include <mutex>
#include <stdexcept>

#include <gofer/detail/sched/insist.hpp>
#include <gofer/detail/sched/point.hpp>
#include <gofer/go.hpp>

#include "sched/runtime.hpp"
#include "sched/timer_heap.hpp"

namespace gofer::inline v0 {
namespace channels {
namespace {

using sched::time_point;
using sched::timer_entry;

void add_timer(timer_entry& entry, std::int64_t when) noexcept {
  sched::runtime::get().add_timer(sched::this_thread(), entry, when);
}

/// Sends to a channel that has room for one, unless one waits there already. Runs in the scheduler and never waits.
void send_time(channel<time_point>* ch) noexcept {
  time_point at = sched::now();
  channels::try_send(ch, at);
}

/// Is its own timer, which ends with the last handle: what nobody can receive any more is not kept until it is due.
class after_channel final : public channel<time_point>, public timer_entry {
 public:
  after_channel() : channel(1), timer_entry(&expire) {}
  ~after_channel() override { sched::timer_heap::cancel(*this); }

 private:
  static action expire(timer_entry& entry) noexcept {
    auto& self = static_cast<after_channel&>(entry);
    if (!self.retain_if_alive()) return {};
    return {.run =
                [](void* due) noexcept {
                  auto* ch = static_cast<after_channel*>(due);
                  send_time(ch);
                  ch->release();
                },
            .argument = &self};
  }
};

}  // namespace

receiver<time_point> after(time_point deadline) {
  sched::runtime::get();  // starts it, or throws
  auto* ch = new after_channel;
  if (deadline != sched::no_deadline) add_timer(*ch, sched::to_ns(deadline));
  return receiver<time_point>(channel_ref<time_point>(ch));
}

/// What a handle starts and stops, and what lives on while an expiry is being dealt with.
class timed_state : public timer_entry {
 public:
  timed_state() noexcept : timer_entry(&expire) {}
  virtual ~timed_state() = default;

  /// The handle is gone.
  void retire() noexcept {
    end();
    release();
  }

 protected:
  virtual void fire() noexcept = 0;
  /// For ever: nobody else has the handle.
  virtual void end() noexcept = 0;
  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    // The only one there is cannot become two: no exchange is needed to see who is the last.
    if (references_.load(std::memory_order_acquire) == 1 || references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      delete this;
    }
  }

  sched::spin_lock lock_;

 private:
  static action expire(timer_entry& entry) noexcept {
    auto& self = static_cast<timed_state&>(entry);
    self.retain();  // it is in a heap, so the handle has not retired it yet
    return {.run =
                [](void* due) noexcept {
                  auto& expired = *static_cast<timed_state*>(due);
                  expired.fire();
                  expired.release();
                },
            .argument = &self};
  }

  std::atomic<unsigned> references_{1};
};

class ticker_state final : public timed_state {
 public:
  void start(std::chrono::nanoseconds period) {
    if (period <= period.zero()) throw std::invalid_argument("ticker: the period has to be positive");
    sched::runtime::get();  // starts it, or throws
    sched::point("ticker::reset", this);
    const std::scoped_lock hold(lock_);
    sched::timer_heap::cancel(*this);
    period_ = period.count();
    due_ = sched::to_ns(sched::now());
    add_next(due_);
  }
  void stop() noexcept {
    sched::point("ticker::stop", this);
    const std::scoped_lock hold(lock_);
    period_ = 0;
    sched::timer_heap::cancel(*this);
  }
  const chan<time_point>& ticks() const noexcept { return ticks_; }

 private:
  void fire() noexcept override {
    const std::scoped_lock hold(lock_);
    const std::int64_t time = sched::to_ns(sched::now());
    if (period_ == 0 || due_ > time) return;  // stopped or reset just now
    add_next(time);
    send_time(ticks_.ref().get());  // with the lock: nothing is sent once a stop has returned
  }
  void end() noexcept override { stop(); }

  /// With the lock: the first tick after `time`, unless there is no such time.
  void add_next(std::int64_t time) noexcept {
    if (period_ >= sched::timer_heap::never - time) return;
    due_ += period_ * ((time - due_) / period_ + 1);
    add_timer(*this, due_);
  }

  chan<time_point> ticks_{1};
  std::int64_t period_ = 0;  // guarded by lock_; 0: stopped
  std::int64_t due_ = 0;     // guarded by lock_
};

class timer_state final : public timed_state {
 public:
  /// Starts it, unless it is never due.
  timer_state(std::function<void()> f, time_point deadline) : call_(std::move(f)) { add(deadline); }

  bool restart(time_point deadline) noexcept {
    sched::point("timer::reset", this);
    const std::scoped_lock hold(lock_);
    const bool pending = sched::timer_heap::cancel(*this);
    add(deadline);
    return pending;
  }
  bool stop() noexcept {
    sched::point("timer::stop", this);
    const std::scoped_lock hold(lock_);
    return sched::timer_heap::cancel(*this);
  }

 private:
  void fire() noexcept override {
    retain();  // for as long as the call is under way
    try {
      go(go_options{.name = "timer"}, [this] {
        call_();
        release();
      });
    } catch (const std::exception&) {  // no memory for it
      fire_later();
      release();
    }
  }
  void fire_later() noexcept {
    const std::scoped_lock hold(lock_);
    if (!ended_ && !pending()) add(sched::deadline_after(sched::until_memory));
  }
  void end() noexcept override {
    const std::scoped_lock hold(lock_);
    ended_ = true;
    sched::timer_heap::cancel(*this);
  }

  void add(time_point deadline) noexcept {
    if (deadline != sched::no_deadline) add_timer(*this, sched::to_ns(deadline));
  }

  const std::function<void()> call_;
  bool ended_ = false;  // guarded by lock_
};

void retire_timed::operator()(timed_state* state) const noexcept { state->retire(); }

}  // namespace channels

ticker::ticker(std::chrono::nanoseconds period, std::nullptr_t) : state_(new channels::ticker_state) { start(period); }
channels::ticker_state& ticker::state() const noexcept { return static_cast<channels::ticker_state&>(*state_); }
receiver<sched::time_point> ticker::ticks() const { return state().ticks(); }
void ticker::start(std::chrono::nanoseconds period) { state().start(period); }
void ticker::stop() { state().stop(); }

timer::timer(sched::time_point deadline, std::function<void()> on_expiry) {
  sched::runtime::get();  // starts it, or throws
  state_.reset(new channels::timer_state(std::move(on_expiry), deadline));
}
channels::timer_state& timer::state() const noexcept { return static_cast<channels::timer_state&>(*state_); }
bool timer::stop() { return state().stop(); }
bool timer::restart(sched::time_point deadline) { return state().restart(deadline); }

}  // namespace gofer::inline v0
