#include "sched/monitor.hpp"

#include <pthread.h>

#include <algorithm>
#include <thread>

#include "sched/runtime.hpp"

namespace gofer::sched {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Looks are frequent after one that found something, and become rare while there is nothing to mend.
constexpr microseconds shortest_pause{100};
constexpr milliseconds longest_pause{10};
constexpr int quiet_looks_before_slower = 8;
// With nothing running for this many of the longest pauses the monitor sleeps until it is woken.
constexpr int idle_looks_before_sleep = 20;

}  // namespace

void monitor::start(runtime& r) {
  std::thread([this, &r] {
    pthread_setname_np(pthread_self(), "gofer-monitor");
    run(r);
  }).detach();
}

void monitor::wake_slow() noexcept {
  if (asleep_.exchange(false, std::memory_order_acq_rel)) sleep_.signal();
}

void monitor::run(runtime& r) noexcept {
  std::vector<unsigned> ticks(r.processor_count());
  std::chrono::nanoseconds pause = shortest_pause;
  int quiet = 0;
  int idle = 0;
  while (!r.stopping()) {
    sleep_.wait(clock::now() + pause);
    if (look(r, ticks)) {
      pause = shortest_pause;
      quiet = 0;
    } else if (++quiet >= quiet_looks_before_slower) {
      pause = std::min<std::chrono::nanoseconds>(pause * 2, longest_pause);
      quiet = 0;
    }
    idle = r.idle.idle() == r.processor_count() ? idle + 1 : 0;
    if (idle < idle_looks_before_sleep) continue;
    // Announce sleep, fence, look again; pairs with the fence that precedes every wake.
    asleep_.store(true, std::memory_order_relaxed);
    arch::full_fence();
    if (r.idle.idle() == r.processor_count() && !r.stopping()) sleep_.wait(no_deadline);
    asleep_.store(false, std::memory_order_relaxed);
    idle = 0;
    pause = shortest_pause;
  }
}

/// Returns true if there was something to mend.
bool monitor::look(runtime& r, std::vector<unsigned>& ticks) noexcept {
  bool found = false;
  const std::int64_t late = to_ns(now() - longest_pause / 2);
  for (unsigned i = 0; i < r.processor_count(); ++i) {
    processor& p = r.at(i);
    const unsigned tick = p.tick.get();
    const bool stuck = tick == ticks[i];
    ticks[i] = tick;
    if (!stuck) continue;
    if (p.timers.earliest() <= late) found = p.timers.expire(late) != 0 || found;
    if (r.idle.idle() == 0) continue;
    if (fiber* f = p.next.exchange(nullptr, std::memory_order_acq_rel)) {
      r.shared.push(f);
      found = true;
    }
    found = found || p.ring.size() != 0;
  }
  if (found) r.notify();
  // Nobody sleeps in the poller while all processors are busy, and a busy one may be so for long.
  if (r.network.watching() && !r.network.occupied() && r.network.poll() != 0) found = true;
  return found;
}

}  // namespace gofer::sched
