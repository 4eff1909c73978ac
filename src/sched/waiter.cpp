#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/sched/waiter.hpp>

#include "sched/runtime.hpp"
#include "sched/switch.hpp"
#include "sched/timer_heap.hpp"

namespace gofer::sched {
namespace {

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

waiter::waiter(const char* reason) noexcept
    : fiber_(this_thread().running.get()), thread_(fiber_ == nullptr ? &this_thread() : nullptr), reason_(reason) {}

void waiter::wake() noexcept {
  fiber* f = fiber_;
  if (f == nullptr) {
    thread_->sleep.signal();
    return;
  }
  if (f == this_thread().running.get()) {
    woken_by_itself_ = true;
    return;
  }
  // The fiber may be on its way off its stack, which takes some instructions unless its thread has just lost the core.
  // It gets there: nobody waits for anybody between letting others know and the end of the switch.
  if (f->on_thread.load(std::memory_order_acquire)) {
    arch::backoff wait;
    while (f->on_thread.load(std::memory_order_acquire)) wait();
  }
  arch::hand_on(f);  // taken up in depart
  runtime::get().make_runnable(f);
}

std::uint32_t waiter::wait() noexcept {
  return fiber_ == nullptr ? wait_in_thread(no_deadline) : wait_in_fiber(no_deadline);
}

std::uint32_t waiter::wait(const wait_limit& limit) noexcept {
  const auto block = [&] { return fiber_ == nullptr ? wait_in_thread(limit.deadline) : wait_in_fiber(limit.deadline); };
  if (!limit.stop.stop_possible()) return block();
  const auto stop = [this] {
    const bool ours = claim(stopped);
    arch::hand_on(this);
    if (ours) wake();
  };
  std::uint32_t outcome = pending;
  {
    // After its destructor no stop request touches this frame.
    const std::stop_callback<decltype(stop)> on_stop(limit.stop, stop);
    outcome = block();
  }
  arch::take_up(this);
  return outcome;
}

std::uint32_t waiter::wait_in_thread(time_point deadline) noexcept {
  // A claim is always followed by one signal, which this thread always waits for.
  if (!thread_->sleep.wait(deadline) && !claim(timed_out)) thread_->sleep.wait(no_deadline);
  return outcome();
}

std::uint32_t waiter::wait_in_fiber(time_point deadline) noexcept {
  if (woken_by_itself_) return outcome();
  thread& t = this_thread();
  processor* p = t.proc.get();
  if (p != nullptr) p->counters.parks.add(1);
  if (deadline == no_deadline) {
    depart(t, *fiber_, departure::park);
    return outcome();
  }
  timeout timer(*this);
  auto& r = runtime::get();
  timer_heap& heap = p != nullptr ? p->timers : r.at(t.index % r.processor_count()).timers;
  const std::int64_t when = to_ns(deadline);
  if (heap.add(timer, when)) r.timer_added(when);
  depart(t, *fiber_, departure::park);
  if (outcome() != timed_out) timer_heap::cancel(timer);
  return outcome();
}

}  // namespace gofer::sched
