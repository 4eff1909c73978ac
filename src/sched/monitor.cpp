#include "sched/monitor.hpp"

#include <pthread.h>

#include <algorithm>
#include <new>
#include <thread>
#include <utility>

#include "sched/hooks.hpp"
#include "sched/runtime.hpp"

namespace gofer::inline v0::sched {

constinit hooks above;

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Looks are frequent after one that found something, and become rare while there is nothing to mend: soon, if nothing
// has run since the look before.
constexpr microseconds shortest_pause{100};
constexpr milliseconds longest_pause{5};
constexpr int quiet_looks_before_slower = 8;
// A processor that has not switched for this long is taken to stand still. Under ThreadSanitizer a switch itself can
// take milliseconds.
constexpr milliseconds patience{arch::contexts_are_kept ? 100 : 10};
// Timers that are late by so much are served here, and, while nobody gets round to them, sockets that nobody has looked
// at for so long.
constexpr milliseconds late{2};
// A processor that switches looks at the sockets when those it has found have had their turn; not even hundreds of
// those may delay the others for longer than this.
constexpr milliseconds longest_round{10};
// After a sleep shorter than this the monitor goes on as before it: what runs now and then, many times a second, is not
// to have it look each time as often as at something new.
constexpr seconds long_sleep{1};
// Stacks that were not needed for so long give their memory back.
constexpr seconds between_trims{1};
// While a thread that ends could leave a deadlock behind, which nothing else would tell of, the monitor looks so often.
constexpr seconds longest_sleep{10};

}  // namespace

void monitor::start(runtime& r) {
  seen_.resize(r.processor_count());
  std::thread([this, &r, record = thread_record(take_record())]() mutable {
    begin_thread(std::move(record));
    pthread_setname_np(pthread_self(), "gofer-monitor");
    this_thread().of_runtime = true;
    run(r);
  }).detach();
}

void monitor::wake_slow() noexcept {
  runtime::get().read_clock();
  if (asleep_.exchange(false, std::memory_order_acq_rel)) sleep_.signal();
}

void monitor::run(runtime& r) noexcept {
  std::chrono::nanoseconds pause = shortest_pause;
  int quiet = 0;
  std::uint64_t takes = 0;
  time_point ran = trimmed_ = now();
  while (!r.stopping()) {
    sleep_.wait(clock::now() + pause);
    r.read_clock();
    if (dump_wanted_.exchange(false, std::memory_order_acq_rel)) {
      if (auto* dump = above.dump.load(std::memory_order_acquire)) dump(r);
    }
    const std::uint64_t taken = r.idle.takes();
    const bool rested = taken == takes && r.idle.idle() == r.active_processors();
    takes = taken;
    if (const auto next = look(r); next < longest_pause) {
      pause = std::min(pause, next);
      quiet = 0;
    } else if (rested || ++quiet >= quiet_looks_before_slower) {
      pause = std::min<std::chrono::nanoseconds>(pause * 2, longest_pause);
      quiet = 0;
    }
    const time_point time = now();
    if (trim_is_due(time)) r.stacks.trim();
    if (!rested) ran = time;
    if (time - ran < longest_pause) continue;
    fall_asleep(r);
    ran = now();
    if (ran - time >= long_sleep) pause = shortest_pause;
  }
}

bool monitor::trim_is_due(time_point time) noexcept {
  if (time - trimmed_ < between_trims) return false;
  trimmed_ = time;
  return true;
}

/// Nothing has run for a while: sleeps until woken, and tidies up meanwhile.
void monitor::fall_asleep(runtime& r) noexcept {
  std::chrono::nanoseconds pause = between_trims;
  for (bool more = true; more && !r.stopping();) {
    if (trim_is_due(now())) {
      r.flush_idle();
      more = r.stacks.trim();
    }
    const std::uint64_t takes = r.idle.takes();
    auto* all_idle = above.all_idle.load(std::memory_order_acquire);
    const bool ask_again = all_idle != nullptr && all_idle(r);
    if (!more && ask_again) pause = std::min<std::chrono::nanoseconds>(2 * pause, longest_sleep);
    more = more || ask_again;
    // Announce sleep, fence, look again; pairs with the fence that precedes every wake. What ran meanwhile and has come
    // to rest again may be in a deadlock now, about which we have to ask.
    asleep_.store(true, std::memory_order_relaxed);
    arch::full_fence();
    const bool sleeps = r.idle.idle() == r.active_processors() && r.idle.takes() == takes && !r.stopping();
    const bool woken = !sleeps || sleep_.wait(more ? clock::now() + pause : no_deadline);
    asleep_.store(false, std::memory_order_relaxed);
    if (woken) return;
  }
}

/// Returns how soon to look again, for what was found: the longest pause if there was nothing to mend.
std::chrono::nanoseconds monitor::look(runtime& r) noexcept {
  bool taken = false;
  const time_point time = now();
  const bool somebody_idle = r.idle.idle() != 0;
  processor* standing = nullptr;  // one that nobody stands in for yet
  bool moving = false;            // some processor has switched lately
  bool work_waits = false;        // at some processor while another is idle
  const unsigned known = r.known_processors();
  if (seen_.size() < known) {
    try {
      seen_.resize(known);
    } catch (const std::bad_alloc&) {  // those beyond are looked at when there is memory again
    }
  }
  for (unsigned i = 0; i < std::min<std::size_t>(known, seen_.size()); ++i) {
    processor& p = r.at(i);
    const bool still = stands_still(p, seen_[i], time);
    if (somebody_idle && p.ring.size() != 0) work_waits = true;
    if (!seen_[i].idle && time - seen_[i].since < late) moving = true;
    if (!still) continue;
    const bool for_long = time - seen_[i].since >= patience;
    // With others idle what it holds goes to them at once: waking them is cheap, and right more often than not.
    if (somebody_idle || for_long) taken = take_work_of(r, p) || taken;
    if (for_long && !p.replaced.load(std::memory_order_relaxed)) standing = &p;
  }
  const bool timers = serve_timers(r, time);
  const bool served = serve_sockets(r, time, moving ? longest_round : late) || timers;
  work_waits = work_waits || (somebody_idle && r.shared.size() != 0);  // if a worker thread could not be started
  if (taken || served || work_waits) r.notify();
  if (standing != nullptr && r.shared.size() != 0 && r.idle.idle() == 0) r.replace(*standing);
  if (taken) return shortest_pause;
  return served ? late / 2 : longest_pause;  // what is not served by others is not late before
}

/// Returns true if the processor is busy and has not switched since an earlier look.
bool monitor::stands_still(processor& p, observation& seen, time_point time) noexcept {
  const unsigned tick = p.tick.get();
  const bool idle = p.idle.load(std::memory_order_relaxed);
  const bool same = !idle && !seen.idle && tick == seen.tick;
  if (!same) seen = {.tick = tick, .since = time, .idle = idle};
  return same;
}

/// Moves what waits at a processor to where others find it. Returns true if there was anything.
bool monitor::take_work_of(runtime& r, processor& p) noexcept {
  bool any = false;
  const auto pass_on = [&](fiber* f) {
    r.shared.push(f);
    any = true;
  };
  if (fiber* f = p.next.steal()) pass_on(f);
  while (p.ring.steal_half_into(taken_) != 0) {
    while (fiber* f = taken_.pop()) pass_on(f);
  }
  return any;
}

/// Nobody sleeps in the poller while all processors are busy, and a busy one may be so for long. Returns true if there
/// was anything at sockets that nobody has looked at for the time given.
bool monitor::serve_sockets(runtime& r, time_point time, std::chrono::nanoseconds unseen) noexcept {
  if (const std::uint64_t looks = r.network.looks(); looks != network_looks_) {
    network_looks_ = looks;
    network_seen_ = time;
  }
  if (time - network_seen_ < unseen || !r.network.watching() || r.network.occupied()) return false;
  return r.network.poll() != 0;
}

/// Serves timers that nobody else does. Returns true if there were any.
bool monitor::serve_timers(runtime& r, time_point time) noexcept {
  const std::int64_t latest = to_ns(time - late);
  bool any = false;
  for (unsigned i = 0; i < r.known_processors(); ++i) {
    timer_heap& timers = r.at(i).timers;
    if (timers.earliest() <= latest) any = timers.expire(to_ns(time)) != 0 || any;
  }
  return any;
}

}  // namespace gofer::inline v0::sched
