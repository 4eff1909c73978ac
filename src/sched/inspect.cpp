#include "sched/inspect.hpp"

#include <mutex>

#include <gofer/detail/arch/asymmetric_fence.hpp>

namespace gofer::inline v0::sched {
namespace {

std::mutex inspecting;  // one at a time; held for moments

std::chrono::milliseconds since(runtime& r, std::uint32_t then) noexcept {
  const std::uint32_t ticks = r.read_clock() - then;
  // The mark may be a moment ahead of a clock that another thread has just read.
  return static_cast<std::int32_t>(ticks) < 0 ? std::chrono::milliseconds(0) : ticks * runtime::clock_unit;
}

int thread_of(const fiber& f) noexcept {
  for (const thread* t = first_thread(); t != nullptr; t = t->next_made) {
    if (t->running.get() == &f) return t->kernel_thread.load(std::memory_order_relaxed);
  }
  return 0;
}

void describe(const fiber& f, sighting& seen) noexcept {
  seen.id = f.id.load(std::memory_order_acquire);
  seen.started_at = f.started_at.get();
  seen.stack_size = std::size_t{1} << f.stack_class.get();
  seen.name_length = f.name().copy(seen.name_text.data(), seen.name_text.size());
}

}  // namespace

inspection::inspection(runtime& r, const fiber& f) noexcept : runtime_(r) {
  inspecting.lock();
  r.inspected.store(&f, std::memory_order_relaxed);
  arch::heavy_fence();  // pairs with the fence in waiter::wake: from here on nobody wakes the fiber
  seen.reason = f.waiting_in.load(std::memory_order_acquire);
  const bool on_thread = f.on_thread.load(std::memory_order_acquire);
  describe(f, seen);
  if (on_thread) {
    seen.what = sighting::state::running;
    seen.kernel_thread = thread_of(f);
  } else if (seen.reason == nullptr) {
    seen.what = sighting::state::runnable;
  } else {
    seen.what = sighting::state::waiting;
    seen.object = f.waiting_on.get();
    const departure why = f.leaving.get();
    seen.outside = why != departure::park;
    seen.since = since(r, f.waiting_since.get());
    if (why != departure::rest) seen.context = f.context();
    arch::take_up(&f);  // handed on when it began to wait
  }
}

inspection::~inspection() {
  runtime_.inspected.store(nullptr, std::memory_order_release);
  inspecting.unlock();
}

sighting sight(runtime& r, const thread& t) noexcept {
  sighting seen;
  seen.reason = t.waiting_in.load(std::memory_order_acquire);
  if (seen.reason == nullptr) return seen;
  seen.id = t.index;
  seen.what = sighting::state::waiting;
  seen.object = t.waiting_on.get();
  seen.for_ever = t.waits_for_ever.get();
  seen.waits = t.waits.get();
  seen.since = since(r, t.waiting_since.get());
  return seen;
}

bool running_fiber(sighting& seen, const std::byte*& stack) noexcept {
  const fiber* f = this_thread().running.get();
  if (f == nullptr) return false;
  describe(*f, seen);
  const fiber_stack* own = f->stack.load(std::memory_order_relaxed);
  stack = own == nullptr ? nullptr : own->low.get();
  return stack != nullptr;
}

bool all_asleep(runtime& r) noexcept {
  const unsigned sleepers = r.idle.spares() + (r.network.occupied() ? 1U : 0U);
  return r.idle.idle() == r.active_processors() && r.idle.searching.load(std::memory_order_seq_cst) == 0 &&
         sleepers == r.workers.load(std::memory_order_acquire) && !r.has_work() &&
         r.earliest_timer() == timer_heap::never;
}

}  // namespace gofer::inline v0::sched
