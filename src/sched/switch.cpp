#include "sched/switch.hpp"

#include <cxxabi.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <typeinfo>

#include "arch/context.hpp"
#include "arch/exception_state.hpp"
#include "sched/fiber_locals.hpp"
#include "sched/runtime.hpp"

namespace gofer::sched {
namespace {

GOFER_SWITCH_CODE void* saved_context(const fiber& f) noexcept { return f.sp; }

/// The destination's part of a switch: `left` is the fiber that was left, or null if it was a scheduler.
void arrive(arch::sanitized_stack& here, fiber* left) noexcept {
  thread& t = this_thread();
  arch::after_switch(here, left != nullptr ? &left->sanitized : &t.sanitized);
  if (left == nullptr) return;
  (void)left->id.load(std::memory_order_acquire);  // orders what its starter wrote before what is read here
  const departure why = left->leaving.get();
  // From here on a waker may make the fiber runnable, and another thread may run it. Pairs with the load in wake.
  left->on_thread.store(false, std::memory_order_release);
  if (why == departure::park) return;
  auto& r = runtime::get();
  processor* p = t.proc.get();
  if (why == departure::yield) {
    r.make_runnable_last(left);
  } else {
    r.depot.put(left, r.stack_size(), p);
  }
}

[[noreturn]] void abort_for_exception(const fiber& f) noexcept {
  std::string type = "an unknown type";
  if (const std::type_info* info = abi::__cxa_current_exception_type()) {
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(info->name(), nullptr, nullptr, &status),
                                                           &std::free);
    type = status == 0 ? name.get() : info->name();
  }
  std::string what;
  try {
    throw;
  } catch (const std::exception& e) {
    what = std::string(": ") + e.what();
  } catch (...) {
    what.clear();
  }
  const std::string name = f.name().empty() ? "" : " \"" + std::string(f.name()) + "\"";
  std::fprintf(stderr,
               "gofer: an exception left fiber %llu%s: %s%s; catch it in the fiber, or use gofer::async or "
               "gofer::task_group, which hand it to whoever waits\n",
               static_cast<unsigned long long>(f.id.load(std::memory_order_relaxed)), name.c_str(), type.c_str(),
               what.c_str());
  std::abort();
}

/// The first frame of every fiber.
void fiber_main(void* left) noexcept {
  fiber& self = *this_thread().running.get();
  arrive(self.sanitized, static_cast<fiber*>(left));
  (void)self.id.load(std::memory_order_acquire);  // orders what the starter wrote before the body
  try {
    self.body(self.closure);
  } catch (...) {
    abort_for_exception(self);
  }
  destroy_fiber_locals(self);
  thread& t = this_thread();
  if (processor* p = t.proc.get()) {
    p->counters.finished.add(1);
  } else {
    auto& r = runtime::get();
    const std::scoped_lock hold(r.foreign_lock);
    r.foreign.finished.add(1);
  }
  arch::hand_on(&self);  // to who uses the stack next
  depart(t, self, departure::finish);
}

}  // namespace

GOFER_SWITCH_CODE void begin(fiber& f) noexcept {
  arch::fresh_stack(f.stack, f.stack_size);
  f.sp = arch::make_context(static_cast<std::byte*>(f.closure), fiber_main);
}

void depart(thread& t, fiber& self, departure why) noexcept {
  self.leaving.set(why);
  const arch::exception_state mine = arch::take_exception_state(t.exceptions.get());
  fiber* to = nullptr;
  if (processor* p = t.proc.get()) {
    p->counters.switches.add(1);
    p->tick.add(1);
    // Now and then by way of the scheduler, which looks at what does not come by itself.
    if (p->tick.get() % processor::fairness_interval != 0) to = p->pop();
  }
  t.running.set(to);
  void* left = nullptr;
  if (to != nullptr) {
    (void)to->id.load(std::memory_order_acquire);  // as in arrive
    to->on_thread.store(true, std::memory_order_relaxed);
    void* load =
        saved_context(*to);  // before the sanitizers are told, who take what follows for the other fiber's doing
    arch::before_switch(self.sanitized, to->sanitized, why == departure::finish);
    left = arch::gofer_switch_context(&self.sp, load, &self);
  } else {
    void* load = t.scheduler_sp;
    arch::before_switch(self.sanitized, t.sanitized, why == departure::finish);
    left = arch::gofer_switch_context(&self.sp, load, &self);
  }
  // Resumed. Nothing that was read from `t` holds: this may be another thread.
  arch::take_up(&self);  // handed on by who woke it
  arrive(self.sanitized, static_cast<fiber*>(left));
  arch::restore_exception_state(this_thread().exceptions.get(), mine);
}

void run(thread& t, fiber& f) noexcept {
  t.running.set(&f);
  (void)f.id.load(std::memory_order_acquire);  // as in arrive
  f.on_thread.store(true, std::memory_order_relaxed);
  void* load = saved_context(f);
  arch::before_switch(t.sanitized, f.sanitized, false);
  void* left = arch::gofer_switch_context(&t.scheduler_sp, load, nullptr);
  arrive(t.sanitized, static_cast<fiber*>(left));
}

}  // namespace gofer::sched
