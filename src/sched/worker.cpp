// The loop of a worker thread: find a fiber, run it.

#include <pthread.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include "arch/signal_stack.hpp"
#include "sched/runtime.hpp"
#include "sched/switch.hpp"

namespace gofer::inline v0::sched {
namespace {

/// How often a worker looks at everything before it sleeps, with `pauses_between_looks` in between: about four
/// microseconds, of the order of what putting a thread to sleep and waking it costs.
constexpr int looks_before_sleep = 8;
constexpr int pauses_between_looks = 16;

/// A processor whose ring is full of fibers that yield serves so many sockets at a time all the same.
constexpr std::size_t least_polled = 16;

std::uint64_t random(processor& p) noexcept {  // xorshift64 (Marsaglia, 2003)
  std::uint64_t x = p.random.get();
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  p.random.set(x);
  return x;
}

void begin_search(runtime& r, thread& t) noexcept {
  if (t.searching) return;
  t.searching = true;
  r.idle.searching.fetch_add(1, std::memory_order_seq_cst);
}

/// Returns true if nobody searches any more.
bool end_search(runtime& r, thread& t) noexcept {
  if (!t.searching) return false;
  t.searching = false;
  return r.idle.searching.fetch_sub(1, std::memory_order_seq_cst) == 1;
}

/// Moves at most so many of this processor's share of the shared queue into its ring, all but the first, which it
/// returns. No more than half of what the ring can hold.
fiber* take_shared(runtime& r, processor& p, std::size_t most) noexcept {
  const std::size_t waiting = r.shared.size();
  if (waiting == 0) return nullptr;
  const std::size_t room = run_ring::capacity - p.ring.size();
  const std::size_t share = waiting / r.active_processors() + 1;
  std::array<fiber*, run_ring::capacity / 2> taken;
  const std::size_t count = r.shared.pop(std::span(taken.data(), std::min({share, room + 1, most})));
  if (count == 0) return nullptr;
  // Nobody else pushes here, so the room is still there.
  for (std::size_t i = 1; i < count; ++i) p.ring.push(taken[i]);
  return taken[0];
}

bool expire_timers(runtime& r, timer_heap& timers) noexcept {
  const std::int64_t earliest = timers.earliest();
  if (earliest == timer_heap::never) return false;
  const std::int64_t time = to_ns(now());
  const bool any = earliest <= time && timers.expire(time) != 0;
  if (any) r.notify();
  return any;
}

/// Takes from the kernel no more than there is room for, or only a little more where there is none: what waits there
/// keeps its place, and what goes by way of the shared queue loses it to whatever comes next.
bool poll_network(runtime& r, const processor& p) noexcept {
  if (!r.network.watching() || r.network.occupied()) return false;
  const std::size_t room = run_ring::capacity - std::min<std::size_t>(p.ring.size(), run_ring::capacity);
  return r.network.poll(std::max(room, least_polled)) != 0;
}

/// Own work, and at intervals what others would wait for too long.
fiber* next_own(runtime& r, processor& p) noexcept {
  if (p.tick.get() % processor::fairness_interval == 0) {
    // Not before the ring has gone round once: what is found now waits behind it in any case, and would push others
    // into the shared queue.
    if (p.tick.get() - p.polled_at.get() >= p.ring.size()) {
      p.polled_at.set(p.tick.get());
      poll_network(r, p);
    }
    expire_timers(r, p.timers);
    // One other's timers, each time another's: its owner may be gone, or stand still.
    expire_timers(r, r.at(p.tick.get() / processor::fairness_interval % r.known_processors()).timers);
    // Only one: what has overflowed is the oldest, and in a program of forks and joins the largest; to start it early
    // is to have the whole tree alive at once. Now and then a whole share, so that nobody waits there for long; when,
    // the processor judges by itself, as whoever keeps the coarse clock may get no core for longer than that.
    const std::uint64_t time = arch::cycles();
    const bool due = time - p.shared_at.get() >= r.between_shares();
    if (due) p.shared_at.set(time);
    if (fiber* f = take_shared(r, p, due ? run_ring::capacity / 2 : 1)) return f;
  }
  if (fiber* f = p.pop()) return f;
  if (expire_timers(r, p.timers)) {
    if (fiber* f = p.pop()) return f;
  }
  if (fiber* f = take_shared(r, p, run_ring::capacity / 2)) return f;
  return poll_network(r, p) ? p.pop() : nullptr;
}

fiber* steal(runtime& r, processor& p) noexcept {
  const unsigned count = r.known_processors();
  const auto first = static_cast<unsigned>(random(p) % count);
  for (unsigned i = 0; i < count; ++i) {
    processor& victim = r.at((first + i) % count);
    if (&victim == &p) continue;
    if (const auto stolen = victim.ring.steal_half_into(p.ring); stolen != 0) {
      p.counters.steals.add(stolen);
      return p.ring.pop();
    }
    if (expire_timers(r, victim.timers)) {
      if (fiber* f = p.pop()) return f;
    }
  }
  return nullptr;
}

fiber* search(runtime& r, thread& t, processor& p) noexcept {
  const unsigned busy = r.active_processors() - r.idle.idle();
  // At most half of the busy processors search; the others' work is found all the same.
  if (!t.searching && 2 * r.idle.searching.load(std::memory_order_relaxed) >= busy) return nullptr;
  begin_search(r, t);
  for (int look = 0; look < looks_before_sleep && !r.stopping(); ++look) {
    if (fiber* f = steal(r, p)) return f;
    if (fiber* f = next_own(r, p)) return f;
    for (int i = 0; i < pauses_between_looks; ++i) arch::pause();
  }
  return nullptr;
}

/// A fiber to run, or null when there is none to be found. The processor keeps its owner either way.
fiber* find(runtime& r, thread& t, processor& p) noexcept {
  fiber* f = next_own(r, p);
  if (f == nullptr) f = search(r, t, p);
  // Whoever published work meanwhile relied on this search to find it, and there may be more than one fiber's.
  if (f != nullptr && end_search(r, t)) r.notify();
  return f;
}

bool take_idle_processor(runtime& r, thread& t) noexcept {
  processor* p = r.idle.take();
  if (p == nullptr) return false;
  t.proc.set(p);
  r.watcher.wake();
  return true;
}

void accept_assigned(thread& t, processor* p) noexcept {
  t.proc.set(p);
  t.searching = true;  // whoever assigned it counted us
}

/// Sleeps in the poller as the one that also keeps the time. Returns false at once if another does, or if all
/// processors are busy: they look at the network themselves.
bool sleep_in_poller(runtime& r, thread& t) noexcept {
  if (r.idle.idle() == 0) return false;
  if (!r.network.enter(t)) return false;
  std::int64_t until = timer_heap::never;
  for (;;) {  // announce until when, fence, look at the timers again; pairs with the fence in timer_added
    r.network.sleeps_until.store(until, std::memory_order_relaxed);
    arch::full_fence();
    const std::int64_t earliest = r.earliest_timer();
    if (earliest >= until) break;
    until = earliest;
  }
  poller::events brought;
  if (!r.stopping()) r.network.wait(until, brought);
  r.network.sleeps_until.store(poller::nobody, std::memory_order_relaxed);
  if (r.network.leave(t)) {
    if (take_idle_processor(r, t)) begin_search(r, t);
  } else {  // somebody took us for work and is just about to say which
    processor* p = nullptr;
    for (arch::backoff wait; (p = t.assigned.exchange(nullptr, std::memory_order_acquire)) == nullptr;) wait();
    r.network.vacate();
    accept_assigned(t, p);
  }
  r.network.deliver(brought);
  return true;
}

/// Gives the processor up and sleeps until there may be something to do. Returns with a processor or, when somebody
/// else is to do it, without.
void sleep(runtime& r, thread& t, processor* p) noexcept {
  if (p != nullptr) {
    t.proc.set(nullptr);
    r.idle.put(p);
    end_search(r, t);
    arch::full_fence();  // pairs with the fence in notify: either it sees the idle processor, or we see its work
    if (r.has_work() && take_idle_processor(r, t)) {
      begin_search(r, t);
      return;
    }
  }
  if (r.stopping()) return;
  if (sleep_in_poller(r, t)) return;
  r.idle.put(&t);
  if (!r.network.occupied() && r.idle.idle() != 0) {
    // The poller's sleeper left just before we entered the list: somebody has to take its place. Let it be whoever is
    // first in the list; that may be us.
    if (thread* spare = r.idle.take_spare()) spare->sleep.signal();
  }
  t.sleep.wait(no_deadline);
  if (processor* given = t.assigned.exchange(nullptr, std::memory_order_acquire)) accept_assigned(t, given);
}

}  // namespace

void run_worker(runtime& r, processor* first, bool searching) noexcept {
  const arch::signal_stack for_handlers;
  thread& t = this_thread();
  pthread_setname_np(pthread_self(), ("gofer-" + std::to_string(t.index)).c_str());
  t.of_runtime = true;
  t.proc.set(first);
  t.searching = searching;
  while (!r.stopping()) {
    processor* p = t.proc.get();
    if (p != nullptr && p->surplus && r.one_too_many()) {
      t.proc.set(nullptr);
      r.retire(*p);
      if (end_search(r, t)) r.notify();
      p = nullptr;
    }
    fiber* f = p == nullptr ? nullptr : find(r, t, *p);
    if (f != nullptr) {
      run(t, *f);
    } else {
      sleep(r, t, p);
    }
  }
  t.proc.set(nullptr);
  r.workers.fetch_sub(1, std::memory_order_acq_rel);
}

}  // namespace gofer::inline v0::sched
