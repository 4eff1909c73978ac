// What gofer/go.hpp and gofer/runtime.hpp declare.

#include <gofer/go.hpp>
#include <gofer/runtime.hpp>

#include <thread>

#include <gofer/detail/sched/atomic.hpp>
#include <gofer/detail/sched/point.hpp>

#include "sched/cooperate.hpp"
#include "sched/explorer.hpp"
#include "sched/runtime.hpp"
#include "sched/switch.hpp"

namespace gofer::inline v0 {
namespace sched {
namespace {

constexpr std::uint64_t ids_at_once = 1024;

std::uint64_t next_id(runtime& r, processor* p) noexcept {
  if (p == nullptr) return r.take_ids(1);
  if (p->next_id.get() == p->last_id.get()) {
    p->next_id.set(r.take_ids(ids_at_once));
    p->last_id.set(p->next_id.get() + ids_at_once);
  }
  p->next_id.add(1);
  return p->next_id.get() - 1;
}

}  // namespace

time_point now() noexcept {
  explorer* e = exploring();
  return e == nullptr ? clock::now() : e->now();
}

fiber_draft draft_fiber(std::size_t stack_size, std::string_view name) {
  auto& r = runtime::get();
  processor* p = this_thread().proc.get();
  const unsigned stack_class = stack_size == 0 ? r.stack_class() : stack_depot::class_of(stack_size);
  r.stacks.promise(stack_class, p);
  fiber* f = nullptr;
  try {
    f = r.fibers.get(p);
  } catch (...) {
    r.stacks.release(stack_class, p);
    throw;
  }
  arch::take_up(f);  // handed on by its last user
  f->stack_class.set(static_cast<std::uint8_t>(stack_class));
  f->set_name(name);
  return {.who = f, .closure = f->closure.data()};
}

void start_fiber(fiber_draft draft, bool (*body)(void* closure)) noexcept {
  auto& r = runtime::get();
  thread& t = this_thread();
  processor* p = t.proc.get();
  fiber* f = draft.who;
  f->body = body;
  f->started_at.set(__builtin_return_address(0));
  f->id.store(next_id(r, p), std::memory_order_release);
  r.count(p, &processor_counters::started);
  r.make_runnable_last(t, f);
  point("go", nullptr);
}

void discard_fiber(fiber_draft draft) noexcept { runtime::get().discard(*draft.who, this_thread().proc.get()); }

std::uint32_t sleep(const wait_limit& limit) noexcept {
  point("sleep", nullptr);
  waiter self("sleep", nullptr, limit);
  return self.wait();
}

void cooperate() noexcept {
  constexpr unsigned operations_in_a_row = 64;
  processor* p = this_thread().proc.get();
  if (p == nullptr) return;
  p->operations.add(1);
  if (p->operations.get() > operations_in_a_row) yield();
}

blocking_section::blocking_section() noexcept {
  thread& t = this_thread();
  processor* p = t.proc.get();
  if (p == nullptr) return;
  auto& r = runtime::get();
  p->counters.handoffs.add(1);
  t.proc.set(nullptr);
  if (p->has_work() || !r.network.occupied()) {
    r.run_in_worker(p, false);
    return;
  }
  r.leave_idle(*p);
}

blocking_section::~blocking_section() {
  thread& t = this_thread();
  fiber* self = t.running.get();
  if (self == nullptr || t.proc.get() != nullptr || t.explores.get() != nullptr) return;
  auto& r = runtime::get();
  if (processor* p = r.idle.take()) {
    arch::take_up(p);  // handed on when it was made
    t.proc.set(p);
  } else {
    depart(t, *self, departure::yield);  // to the shared queue
  }
}

}  // namespace sched

void yield() noexcept {
  using namespace sched;
  thread& t = this_thread();
  fiber* self = t.running.get();
  if (self == nullptr) {
    std::this_thread::yield();
    return;
  }
  processor* p = t.proc.get();
  if (p == nullptr) {
    if (gives_way()) return;
  } else if (!p->has_work() && runtime::get().shared.size() == 0 && !p->replaced.load(std::memory_order_relaxed)) {
    // Nobody to run, but timers and the network get their turn here, too: depart's tick has to be the round one.
    const unsigned next_tick = p->tick.get() + 1;
    if (next_tick % processor::fairness_interval != 0) {
      p->tick.set(next_tick);
      p->operations.set(0);
      return;
    }
  }
  depart(t, *self, departure::yield);
}

namespace this_fiber {

std::uint64_t id() noexcept {
  const sched::fiber* self = sched::this_thread().running.get();
  return self == nullptr ? 0 : self->id.load(std::memory_order_relaxed);
}

void set_name(std::string_view name) {
  if (sched::fiber* self = sched::this_thread().running.get()) self->set_name(name);
}

std::string_view name() {
  const sched::fiber* self = sched::this_thread().running.get();
  return self == nullptr ? std::string_view() : self->name();
}

}  // namespace this_fiber

void configure(const runtime_options& options) { sched::runtime::configure(options); }

unsigned processors() noexcept {
  if (sched::exploring() != nullptr) return 1;
  const sched::runtime* r = sched::runtime::if_started();
  return r != nullptr ? r->processor_count() : sched::runtime::planned_processors();
}

runtime_stats stats() {
  runtime_stats sum;
  sched::runtime* r = sched::runtime::if_started();
  if (r == nullptr) return sum;
  std::uint64_t finished = 0;
  std::uint64_t running = 0;
  const auto add = [&](const sched::processor_counters& c) {
    finished += c.finished.get();  // before started: a fiber that comes and goes meanwhile must not count as minus one
    sum.switches += c.switches.get();
    sum.steals += c.steals.get();
    sum.handoffs += c.handoffs.get();
    sum.parks += c.parks.get();
  };
  sum.processors = r->processor_count();
  sum.idle_processors = r->idle.idle();
  sum.threads = r->workers.load(std::memory_order_relaxed);
  sum.surplus_processors = r->surplus();
  const unsigned active = r->active_processors();
  const unsigned known = r->known_processors();
  running = active - std::min(active, sum.idle_processors);
  add(r->foreign);
  for (unsigned i = 0; i < known; ++i) add(r->at(i).counters);
  sum.started = r->foreign.started.get();
  for (unsigned i = 0; i < known; ++i) sum.started += r->at(i).counters.started.get();
  sum.fibers = sum.started > finished ? sum.started - finished : 0;
  sum.runnable = r->shared.size();
  for (unsigned i = 0; i < known; ++i) {
    const sched::processor& p = r->at(i);
    sum.runnable += p.ring.size() + (p.next.empty() ? 0U : 1U);
  }
  sum.parked = sum.fibers > sum.runnable + running ? sum.fibers - sum.runnable - running : 0;
  return sum;
}

}  // namespace gofer::inline v0
