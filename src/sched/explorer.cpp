#include "sched/explorer.hpp"

#include <cstdio>
#include <cstdlib>

#include <gofer/detail/sched/atomic.hpp>
#include <gofer/detail/sched/point.hpp>

#include "sched/switch.hpp"
#include "sched/thread.hpp"

namespace gofer::inline v0::sched {

constinit std::atomic<std::uint8_t> observers{0};

namespace {

bool anybody_explores() noexcept { return (observers.load(std::memory_order_relaxed) & exploration) != 0; }

}  // namespace

explorer* exploring() noexcept {
  if (!anybody_explores()) [[likely]]
    return nullptr;
  return this_thread().explores.get();
}

void refuse_plain_threads(const char* operation) noexcept {
  if (!anybody_explores()) [[likely]]
    return;
  const thread& t = this_thread();
  if (t.explores.get() != nullptr || t.running.get() != nullptr || t.proc.get() != nullptr || t.of_runtime) return;
  std::fprintf(stderr,
               "gofer: %s was called by a plain thread while another explores schedules; what is explored runs on one "
               "thread: start fibers (gofer::go), not std::thread\n",
               operation);
  std::abort();
}

void reach(const char* operation, const void* object) noexcept {
  explorer* e = exploring();
  if (e == nullptr) {
    refuse_plain_threads(operation);
    return;
  }
  arch::take_up(e);
  if (this_thread().running.get() != nullptr && e->without_points == 0) e->reach(operation, object);
}

bool gives_way() noexcept {
  explorer* e = exploring();
  if (e == nullptr) return false;
  thread& t = this_thread();
  if (fiber* self = t.running.get()) {
    e->yields();
    depart(t, *self, departure::yield);
  } else {
    e->lets_a_fiber_run();
  }
  return true;
}

std::uintptr_t place_in_order(const void* object) noexcept {
  explorer* e = exploring();
  return e == nullptr ? reinterpret_cast<std::uintptr_t>(object) : e->place_in_order(object);
}

void count_waiting(int change) noexcept {
  explorer* e = exploring();
  if (e == nullptr) return;
  const in_order hold(e);
  e->linked += change;
}

void no_points::begin() noexcept {
  explorer* e = exploring();
  if (e == nullptr) return;
  arch::take_up(e);
  ++e->without_points;
  begun_ = true;
}

void no_points::end() noexcept {
  explorer* e = exploring();
  if (e == nullptr) return;
  --e->without_points;
  arch::hand_on(e);
}

}  // namespace gofer::inline v0::sched
