#include "sched/switch.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "arch/context.hpp"
#include "arch/describe_exception.hpp"
#include "arch/exception_state.hpp"
#include "arch/float_state.hpp"
#include "sched/fiber_locals.hpp"
#include "sched/runtime.hpp"

// Into code that ThreadSanitizer does not see, what it has to see must not be inlined.
#if defined(GOFER_TSAN)
#define GOFER_INLINED [[gnu::noinline]]
#else
#define GOFER_INLINED [[gnu::always_inline]] inline
#endif

namespace gofer::inline v0::sched {
namespace {

constexpr bool gives_stack_up(departure why) noexcept { return why == departure::finish || why == departure::rest; }

fiber_stack& stack_of(const fiber& f) noexcept { return *f.stack.load(std::memory_order_relaxed); }

/// The fiber is no more: nobody is on its stack, which is not its own any more.
void recycle(runtime& r, thread& t, fiber& f) noexcept {
  f.stack.store(nullptr, std::memory_order_relaxed);
  f.id.store(0, std::memory_order_relaxed);
  f.on_thread.store(false, std::memory_order_release);
  r.discard(f, t.proc.get());
}

/// The fiber rests: nobody is on its stack, which is not its own any more. From here on a waker may make it runnable.
void lay_down(fiber& f) noexcept {
  f.stack.store(nullptr, std::memory_order_relaxed);
  f.on_thread.store(false, std::memory_order_release);  // pairs with the load in wake
}

/// The destination's part of a switch: `left` is the fiber that was left, or null if it was a scheduler.
GOFER_INLINED thread& arrive(arch::sanitized_stack& here, fiber* left) noexcept {
  thread& t = this_thread();
  arch::take_up(t.proc.get());  // handed on when it was made
  if (left == nullptr) {
    arch::after_switch(here, &t.sanitized);
    return t;
  }
  (void)left->id.load(std::memory_order_acquire);  // orders what its starter wrote before what is read here
  fiber_stack& its_stack = stack_of(*left);
  arch::take_up(&its_stack);  // handed on when it was made
  arch::after_switch(here, &its_stack.sanitized);
  const departure why = left->leaving.get();
  if (gives_stack_up(why)) {
    auto& r = runtime::get();
    r.stacks.put(&its_stack, t.proc.get());
    why == departure::finish ? recycle(r, t, *left) : lay_down(*left);
    return t;
  }
  // From here on a waker may make the fiber runnable, and another thread may run it. Pairs with the load in wake.
  left->on_thread.store(false, std::memory_order_release);
  if (why == departure::yield) runtime::get().make_runnable_last(t, left);
  return t;
}

[[noreturn]] void abort_for_exception(const fiber& f) noexcept {
  const std::string name = f.name().empty() ? "" : " \"" + std::string(f.name()) + "\"";
  std::fprintf(stderr,
               "gofer: an exception left fiber %llu%s: %s; catch it in the fiber, or use gofer::async or "
               "gofer::task_group, which hand it to whoever waits\n",
               static_cast<unsigned long long>(f.id.load(std::memory_order_relaxed)), name.c_str(),
               arch::describe_exception().c_str());
  std::abort();
}

/// Counts a switch; returns the fiber to switch to, or null: the scheduler, which looks at what does not come by
/// itself.
GOFER_INLINED fiber* choose(thread& t) noexcept {
  processor* p = t.proc.get();
  if (p == nullptr) return nullptr;
  p->counters.switches.add(1);
  p->tick.add(1);
  p->operations.set(0);
  if (p->replaced.load(std::memory_order_relaxed)) [[unlikely]]
    runtime::get().resume(*p);
  return p->tick.get() % processor::fairness_interval == 0 ? nullptr : p->pop();
}

void fiber_main(void* left) noexcept;

GOFER_SWITCH_CODE void set_context(fiber& f, void* sp) noexcept { f.sp = sp; }

/// Lets `f`, which has yet to run, have a stack and its first context.
[[gnu::noinline]] void stand_up(thread& t, fiber& f) noexcept {
  fiber_stack* stack = runtime::get().stacks.take(f.stack_class.get(), t.proc.get());
  arch::fresh_stack(stack->sanitized, stack->low.get(), stack->size.get());
  f.stack.store(stack, std::memory_order_relaxed);
  set_context(f, arch::make_context(reinterpret_cast<std::byte*>(stack), fiber_main));
}

/// Lets `f` be the running one.
GOFER_INLINED void enter(thread& t, fiber& f) noexcept {
  t.running.set(&f);
  (void)f.id.load(std::memory_order_acquire);  // as in arrive
  f.on_thread.store(true, std::memory_order_relaxed);
  if (f.stack.load(std::memory_order_relaxed) == nullptr) [[unlikely]]
    stand_up(t, f);
}

/// Leaves `self` for `to`, or for the scheduler; returns when `self` is resumed. Not at all when it gives up its stack:
/// TSan must not count an entry that has no exit.
GOFER_INLINED GOFER_SWITCH_CODE void leave(thread& t, fiber& self, departure why, fiber* to) noexcept {
  self.leaving.set(why);
  const arch::exception_state my_exceptions = arch::take_exception_state(t.exceptions.get());
  const arch::float_state my_floats = arch::take_float_state();
  arch::sanitized_stack& from = stack_of(self).sanitized;
  void* left = nullptr;
  if (to != nullptr) {
    enter(t, *to);
    void* load = to->context();  // before the sanitizers are told: they take what follows for the other's doing
    arch::before_switch(from, stack_of(*to).sanitized, gives_stack_up(why));
    left = arch::switch_context(&self.sp, load, &self);
  } else {
    t.running.set(nullptr);
    void* load = t.scheduler_sp;
    arch::before_switch(from, t.sanitized, gives_stack_up(why));
    left = arch::switch_context(&self.sp, load, &self);
  }
  // Resumed. Nothing that was read from `t` holds: this may be another thread.
  arch::take_up(&self);  // handed on by who woke it
  thread& here = arrive(stack_of(self).sanitized, static_cast<fiber*>(left));
  arch::restore_exception_state(here.exceptions.get(), my_exceptions);
  arch::restore_float_state(my_floats);
}

departure run_body(fiber& self) noexcept {
  arch::take_up(&self);                           // handed on by the block's last user, or by who woke it
  (void)self.id.load(std::memory_order_acquire);  // orders what the starter wrote before the body
  try {
    if (self.body(self.closure.data())) {
      arch::hand_on(&self);  // to who wakes it
      return departure::rest;
    }
  } catch (...) {
    explorer* e = exploring();
    if (e == nullptr) abort_for_exception(self);
    e->threw();
  }
  destroy_fiber_locals(self);
  arch::hand_on(&self);  // to who uses the block next
  return departure::finish;
}

/// The fiber that has just begun on this stack.
fiber& begun() noexcept {
  fiber& self = *this_thread().running.get();
  (void)self.id.load(std::memory_order_acquire);  // as in arrive
  return self;
}

/// The first frame of every stack. Runs one fiber after another while the next one has none, too: that one finds the
/// stack warm, and there is nothing to switch.
GOFER_SWITCH_CODE void fiber_main(void* left) noexcept {
  fiber* self = &begun();
  arrive(stack_of(*self).sanitized, static_cast<fiber*>(left));
  for (;;) {
    const departure why = run_body(*self);
    thread& t = this_thread();
    auto& r = runtime::get();
    if (why == departure::finish) r.count(t.proc.get(), &processor_counters::finished);
    fiber_stack& stack = stack_of(*self);
    fiber* next = choose(t);
    const bool stays = !arch::contexts_are_kept && next != nullptr &&
                       next->stack_class.get() == self->stack_class.get() &&
                       next->stack.load(std::memory_order_relaxed) == nullptr;
    if (!stays) {
      leave(t, *self, why, next);
      __builtin_unreachable();
    }
    self->leaving.set(why);
    why == departure::finish ? recycle(r, t, *self) : lay_down(*self);
    (void)arch::take_float_state();  // what the one that finished has set is not for the next
    self = next;
    self->stack.store(&stack, std::memory_order_relaxed);
    enter(t, *self);
  }
}

}  // namespace

void depart(thread& t, fiber& self, departure why) noexcept { leave(t, self, why, choose(t)); }

void run(thread& t, fiber& f) noexcept {
  enter(t, f);
  void* load = f.context();
  arch::before_switch(t.sanitized, stack_of(f).sanitized, false);
  void* left = arch::switch_context(&t.scheduler_sp, load, nullptr);
  arrive(t.sanitized, static_cast<fiber*>(left));
}

}  // namespace gofer::inline v0::sched
