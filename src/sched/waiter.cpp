#include <thread>

#include <gofer/detail/arch/asymmetric_fence.hpp>
#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/sched/point.hpp>
#include <gofer/detail/sched/waiter.hpp>

#include "sched/runtime.hpp"
#include "sched/switch.hpp"
#include "sched/timer_heap.hpp"

namespace gofer::inline v0::sched {
namespace {

/// How long a plain thread looks whether it is woken before it sleeps: about as long as falling asleep and being woken
/// would take.
unsigned pauses_before_sleep() noexcept {
  static const unsigned pauses = std::thread::hardware_concurrency() > 1 ? 300 : 0;
  return pauses;
}

/// Wakes a waiter when its time is up.
class timeout : public timer_entry {
 public:
  explicit timeout(waiter& w) noexcept : timer_entry(&expire), waiter_(w) {}

 private:
  static action expire(timer_entry& entry) noexcept {
    waiter& w = static_cast<timeout&>(entry).waiter_;
    if (!w.claim(waiter::timed_out)) return {};
    return {.run = [](void* claimed) noexcept { static_cast<waiter*>(claimed)->wake(); }, .argument = &w};
  }

  waiter& waiter_;
};

}  // namespace

void waiter::wake() noexcept {
  fiber* f = self_.running;
  if (f == nullptr) {
    // By us, as for fibers: for as long as it has no core to run on, the thread does not know.
    self_.on->waiting_in.store(nullptr, std::memory_order_release);
    self_.on->sleep.signal();
    return;
  }
  thread& t = this_thread();
  if (f == t.running.get()) {
    woken_by_itself_ = true;
    return;
  }
  // The fiber may be on its way off its stack, which takes some instructions unless its thread has just lost the core.
  // It gets there: nobody waits for anybody between letting others know and the end of the switch.
  if (f->on_thread.load(std::memory_order_acquire)) {
    arch::backoff wait;
    while (f->on_thread.load(std::memory_order_acquire)) wait();
  }
  auto& r = runtime::get();
  f->waiting_in.store(nullptr, std::memory_order_release);
  arch::light_fence();  // pairs with the fence in inspection (inspect.cpp): either it sees the store, or we see it
  if (r.inspected.load(std::memory_order_acquire) == f) [[unlikely]] {
    for (arch::backoff wait; r.inspected.load(std::memory_order_acquire) == f;) wait();
  }
  arch::hand_on(f);  // taken up in depart
  r.make_runnable(t, f);
}

std::uint32_t waiter::block() noexcept { return self_.running == nullptr ? block_thread() : block_fiber(); }

std::uint32_t waiter::wait() noexcept { return limit_.stoppable() ? wait_for_stop() : block(); }

std::uint32_t waiter::wait_for_stop() noexcept {
  const auto stop = [this] {
    const no_points in_callback;
    const bool ours = claim(stopped);
    arch::hand_on(this);
    if (ours) wake();
  };
  std::uint32_t outcome = pending;
  {
    // After its destructor no stop request touches this frame.
    const std::stop_callback<decltype(stop)> on_stop(*limit_.stop, stop);
    outcome = block();
  }
  arch::take_up(this);
  return outcome;
}

std::uint32_t waiter::block_thread() noexcept {
  // For reports. A wait of a plain thread does not start the runtime.
  runtime* r = runtime::if_started();
  self_.on->waiting_on.set(object_);
  self_.on->waiting_since.set(r == nullptr ? 0 : r->read_clock());
  self_.on->waits.add(1);
  self_.on->waits_for_ever.set(by_ == wakers::one_queue && !limit_.bounded());
  self_.on->waiting_in.store(reason_, std::memory_order_release);
  // A claim is always followed by one signal, which this thread always waits for.
  if (!self_.on->sleep.wait(limit_.deadline, pauses_before_sleep()) && !claim(timed_out)) {
    self_.on->sleep.wait(no_deadline);
  }
  self_.on->waiting_in.store(nullptr, std::memory_order_release);
  return outcome();
}

/// Counts the wait, and lets others see it.
void waiter::announce(fiber& self) noexcept {
  const thread& t = this_thread();
  if (processor* p = t.proc.get()) p->counters.parks.add(1);
  self.waiting_on.set(object_);
  self.waiting_since.set(runtime::get().coarse_clock.get());
  self.waiting_in.store(reason_, std::memory_order_release);
  if (by_ == wakers::kernel) {
    if (explorer* e = t.explores.get()) e->waits_outside(reason_);
  }
}

void waiter::rest() noexcept { announce(*self_.running); }

std::uint32_t waiter::block_fiber() noexcept {
  if (woken_by_itself_) return outcome();
  fiber& self = *self_.running;
  announce(self);
  arch::hand_on(&self);  // to who walks this stack
  thread& t =
      this_thread();  // not who made the waiter: a lock of users may have been unlocked meanwhile, and have waited
  auto& r = runtime::get();
  const departure why = by_ == wakers::kernel ? departure::park_outside : departure::park;
  if (limit_.deadline == no_deadline) {
    depart(t, self, why);
    return outcome();
  }
  timeout timer(*this);
  r.add_timer(t, timer, to_ns(limit_.deadline));
  depart(t, self, why);
  if (outcome() != timed_out) timer_heap::cancel(timer);
  return outcome();
}

}  // namespace gofer::inline v0::sched
