#include "sched/runtime.hpp"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "arch/cpu_quota.hpp"
#include "arch/stack.hpp"
#include "sched/hooks.hpp"
#include "sched/thread.hpp"

namespace gofer::inline v0::sched {
namespace {

constexpr unsigned most_processors = 1024;
constexpr unsigned most_surplus = 10'000;
constexpr std::size_t most_stack = std::size_t{1} << 30;
/// How long a program's end waits for fibers that run on, and for threads that run none and have only to be told.
constexpr std::chrono::milliseconds stop_patience{200};
constexpr std::chrono::seconds end_patience{10};
/// What a processor will have done itself in this time is not worth waking another for: on a virtual machine that takes
/// as long, and the two then wait for each other's cache lines.
constexpr std::chrono::microseconds worth_a_wake{50};

// Guarded by start_lock.
std::mutex start_lock;
runtime_options chosen;
bool forked = false;

unsigned processors_from_environment() noexcept {
  const char* text = std::getenv("GOFER_PROCS");
  if (text == nullptr || *text == '\0') return 0;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  if (*end == '\0' && value >= 1 && value <= static_cast<long>(most_processors)) return static_cast<unsigned>(value);
  std::fprintf(stderr, "gofer: GOFER_PROCS is \"%s\", but has to be a number from 1 to %u; it is ignored\n", text,
               most_processors);
  return 0;
}

/// Without the caller's.
std::size_t other_fibers_running() noexcept {
  std::size_t count = 0;
  for (const thread* t = first_thread(); t != nullptr; t = t->next_made) {
    if (t != &this_thread() && t->running.get() != nullptr) ++count;
  }
  return count;
}

/// When a program ends, the thread-locals of the thread that returns from `main` or calls exit() are destroyed before
/// any static object is: the moment to stop.
struct stop_at_end {
  bool armed = false;
  ~stop_at_end() {
    if (!armed) return;
    if (runtime* r = runtime::if_started()) r->stop();
  }
};

/// Called by threads that live as long as the program: main's, and those that fibers run on.
[[gnu::constructor]] void watch_this_thread() {
  static thread_local stop_at_end hook;
  hook.armed = true;
}

}  // namespace

std::uint32_t runtime::read_clock() noexcept {
  const auto passed = now() - started_;
  if (passed >= clock_unit) {
    const std::uint64_t cycles = arch::cycles() - started_cycles_;
    worth_a_wake_.set(cycles / static_cast<std::uint64_t>(passed / worth_a_wake));
    between_shares_.set(cycles / static_cast<std::uint64_t>(passed / clock_unit));
  }
  const auto ticks = static_cast<std::uint32_t>(passed / clock_unit);
  coarse_clock.set(ticks);
  return ticks;
}

bool stopped() noexcept {
  const runtime* r = runtime::if_started();
  return r != nullptr && r->stopping();
}

std::atomic<runtime*> runtime::instance_{nullptr};

unsigned runtime::planned_processors() noexcept {
  if (chosen.processors != 0) return chosen.processors;
  static const unsigned by_default = [] {
    if (const unsigned set = processors_from_environment(); set != 0) return set;
    unsigned count = arch::cpus_by_affinity();
    try {
      count = std::min(count, arch::cpus_by_quota().value_or(count));
    } catch (...) {
      return count;  // out of memory while reading about a quota: go without it
    }
    return std::min(count, most_processors);
  }();
  return by_default;
}

void runtime::configure(const runtime_options& options) {
  const std::scoped_lock hold(start_lock);
  if (if_started() != nullptr) {
    throw std::logic_error("gofer::configure: the runtime has started already; call it before any other use of gofer");
  }
  if (options.processors > most_processors) {
    throw std::invalid_argument("gofer::configure: processors is " + std::to_string(options.processors) + ", at most " +
                                std::to_string(most_processors) + " are possible");
  }
  if (options.stack_size > most_stack) {
    throw std::invalid_argument("gofer::configure: stack_size is " + std::to_string(options.stack_size) +
                                " bytes, at most " + std::to_string(most_stack) + " are possible");
  }
  if (options.surplus_processors > most_surplus) {
    throw std::invalid_argument("gofer::configure: surplus_processors is " +
                                std::to_string(options.surplus_processors) + ", at most " +
                                std::to_string(most_surplus) + " are possible");
  }
  chosen = options;
}

runtime& runtime::start() {
  const std::scoped_lock hold(start_lock);
  if (runtime* r = if_started()) return *r;
  if (forked) {
    std::fputs("gofer: used in a child process after fork; once the runtime has started, a child may only exec\n",
               stderr);
    std::abort();
  }
  auto made = std::unique_ptr<runtime>(new runtime(chosen));
  made->watcher.start(*made);
  runtime* r = made.release();
  if (auto* start_above = above.start.load(std::memory_order_acquire)) start_above();
  instance_.store(r, std::memory_order_release);
  pthread_atfork(nullptr, nullptr, [] {
    forked = true;
    instance_.store(nullptr, std::memory_order_release);
  });
  // For an exit() in a thread that is not watched.
  std::atexit([] {
    if (runtime* started = if_started()) started->stop();
  });
  return *r;
}

runtime::runtime(const runtime_options& options)
    : stacks(stack_depot::class_of(options.stack_size), planned_processors()),
      processor_count_(planned_processors()),
      most_processors_(processor_count_ + options.surplus_processors),
      stack_class_(stack_depot::class_of(options.stack_size)),
      processors_(new std::atomic<processor*>[most_processors_] {}) {
  std::vector<std::unique_ptr<processor>> made;
  made.reserve(processor_count_);
  for (unsigned i = 0; i < processor_count_; ++i) made.push_back(std::make_unique<processor>(i, false));
  for (auto& each : made) processors_[known_++] = each.release();
  for (unsigned i = processor_count_; i-- > 0;) idle.put(processors_[i]);  // so that the first is taken first
}

runtime::~runtime() {
  while (known_ != 0) delete &at(--known_);
}

void runtime::stop() noexcept {
  if (stopping_.exchange(true, std::memory_order_acq_rel)) return;
  watcher.wake();
  const time_point began = clock::now();
  for (std::size_t left = threads_.left(); left != 0; left = threads_.left()) {
    const auto waited = clock::now() - began;
    if (waited > stop_patience && (waited > end_patience || left <= other_fibers_running())) break;
    network.interrupt();
    while (thread* spare = idle.take_spare()) spare->sleep.signal();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
  threads_.give_up();
}

void runtime::run_in_worker(processor* p, bool searching) noexcept {
  watcher.wake();
  if (!searching) this->idle.searching.fetch_add(1, std::memory_order_seq_cst);
  // With all processors busy nobody needs to sleep in the poller; else its sleeper is the last to be taken.
  if (this->idle.idle() == 0 && assign_to_poll_sleeper(p)) return;
  if (thread* spare = this->idle.take_spare()) {
    spare->assigned.store(p, std::memory_order_release);
    spare->sleep.signal();
    return;
  }
  if (assign_to_poll_sleeper(p)) return;
  workers.fetch_add(1, std::memory_order_relaxed);
  try {
    threads_.start([this, p] {
      this_thread();  // whose record is to outlive what is watched here
      watch_this_thread();
      run_worker(*this, p, true);
    });
  } catch (const std::exception& e) {
    workers.fetch_sub(1, std::memory_order_relaxed);
    idle.put(p);
    idle.searching.fetch_sub(1, std::memory_order_seq_cst);
    static std::atomic<bool> said{false};
    if (workers.load(std::memory_order_acquire) != 0 || said.exchange(true)) return;  // the monitor tries it again
    std::fprintf(stderr, "gofer: cannot start the first worker thread, and tries again: %s\n", e.what());
  }
}

bool runtime::assign_to_poll_sleeper(processor* p) noexcept {
  thread* sleeper = network.take_sleeper();
  if (sleeper == nullptr) return false;
  sleeper->assigned.store(p, std::memory_order_release);
  network.interrupt();
  return true;
}

void runtime::notify() noexcept {
  arch::full_fence();  // pairs with the fence in sleep (worker.cpp)
  if (idle.idle() == 0 || idle.searching.load(std::memory_order_relaxed) != 0) return;
  unsigned none = 0;
  if (!idle.searching.compare_exchange_strong(none, 1, std::memory_order_seq_cst)) return;
  if (processor* p = stopping() ? nullptr : idle.take()) {
    run_in_worker(p, true);
  } else {
    idle.searching.fetch_sub(1, std::memory_order_seq_cst);
  }
}

/// From a thread without a processor.
[[gnu::noinline]] void runtime::make_runnable_elsewhere(thread& t, fiber* f) noexcept {
  if (explorer* e = t.explores.get()) return e->runnable(*f);
  refuse_plain_threads("a wake-up of a fiber");
  shared.push(f);
  notify();
}

void runtime::enqueue(processor& p, fiber* f) noexcept {
  if (!p.ring.push(f)) [[unlikely]]
    share_half(p, f);
}

[[gnu::noinline]] void runtime::share_half(processor& p, fiber* and_this) noexcept {
  std::array<fiber*, run_ring::capacity / 2 + 1> half;
  std::size_t count = 0;
  while (count < half.size() - 1) {
    fiber* old = p.ring.pop();
    if (old == nullptr) break;  // others have stolen it meanwhile
    half[count++] = old;
  }
  half[count++] = and_this;
  shared.push(std::span(half.data(), count));
}

void runtime::make_runnable_last(thread& t, fiber* f) noexcept {
  processor* p = t.proc.get();
  if (p == nullptr) return make_runnable_elsewhere(t, f);
  enqueue(*p, f);
  // No fence before the look: we are awake, and run the fiber ourselves if nobody else comes. One that goes idle just
  // now may be missed, and hear of it from what is made runnable next or, if we stand still, from the monitor.
  if (idle.idle() != 0) notify();
}

void runtime::make_runnable_soon(processor& p, fiber* f) noexcept {
  enqueue(p, f);
  if (idle.idle() == 0) return;
  // Fibers that pass values to and fro wake one another all the time, and soon wait again: they are best left together.
  // Where that turns out to be wrong the monitor tells the others.
  if (p.pace.time_for(p.ring.size(), arch::cycles(), p.tick.get()) >= worth_a_wake_.get()) notify();
}

void runtime::add_timer(thread& t, timer_entry& entry, std::int64_t when) noexcept {
  when = std::max<std::int64_t>(when, 0);  // the beginning of time is past enough, and leaves room for differences
  if (explorer* e = t.explores.get()) [[unlikely]] {
    e->timers.add(entry, when);
    return;
  }
  const processor* p = t.proc.get();
  timer_heap& heap = at((p != nullptr ? p->index : t.index) % processor_count()).timers;
  if (heap.add(entry, when)) timer_added(when);
}

void runtime::timer_added(std::int64_t when) noexcept {
  arch::full_fence();  // pairs with the fence in sleep_in_poller (worker.cpp)
  const std::int64_t until = network.sleeps_until.load(std::memory_order_relaxed);
  if (until == poller::nobody) {
    notify();
  } else if (when < until) {
    network.interrupt();
  }
}

std::int64_t runtime::earliest_timer() const noexcept {
  std::int64_t earliest = timer_heap::never;
  const unsigned known = known_processors();
  for (unsigned i = 0; i < known; ++i) {
    earliest = std::min(earliest, at(i).timers.earliest());
  }
  return earliest;
}

bool runtime::has_work() const noexcept {
  if (shared.size() != 0) return true;
  const unsigned known = known_processors();
  for (unsigned i = 0; i < known; ++i) {
    if (at(i).ring.size() != 0) return true;
  }
  return false;
}

bool runtime::replace(processor& p) noexcept {
  processor* surplus = nullptr;
  {
    const std::scoped_lock hold(retired_lock_);
    surplus = retired_;
    if (surplus != nullptr) retired_ = surplus->next_idle;
  }
  if (surplus == nullptr) {
    const unsigned known = known_.load(std::memory_order_relaxed);
    if (known == most_processors_) return false;
    surplus = new (std::nothrow) processor(known, true);
    if (surplus == nullptr) return false;
    arch::hand_on(surplus);  // to the fibers that run on it
    processors_[known].store(surplus, std::memory_order_relaxed);
    known_.store(known + 1, std::memory_order_release);
  }
  surplus->idle.store(false, std::memory_order_relaxed);
  p.replaced.store(true, std::memory_order_relaxed);
  surplus_.fetch_add(1, std::memory_order_relaxed);
  run_in_worker(surplus, false);
  return true;
}

void runtime::resume(processor& p) noexcept {
  if (!p.replaced.exchange(false, std::memory_order_relaxed)) return;
  if (processor* surplus = idle.take_surplus()) {
    retire(*surplus);
  } else {
    too_many_.fetch_add(1, std::memory_order_relaxed);
  }
}

bool runtime::one_too_many() noexcept {
  unsigned count = too_many_.load(std::memory_order_relaxed);
  while (count != 0) {
    if (too_many_.compare_exchange_weak(count, count - 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

void runtime::retire(processor& p) noexcept {
  bool left = false;
  const auto leave = [&](fiber* f) {
    shared.push(f);
    left = true;
  };
  if (fiber* f = p.next.exchange(nullptr)) leave(f);
  while (fiber* f = p.ring.pop()) leave(f);
  stacks.flush(p);
  p.idle.store(true, std::memory_order_relaxed);  // does not stand still, as the monitor sees it
  {
    const std::scoped_lock hold(retired_lock_);
    p.next_idle = retired_;
    retired_ = &p;
  }
  surplus_.fetch_sub(1, std::memory_order_relaxed);
  if (left) notify();
}

void runtime::flush_idle() noexcept {
  for (unsigned count = idle.idle(); count > 0; --count) {
    processor* p = idle.take();
    if (p == nullptr) return;
    stacks.flush(*p);
    leave_idle(*p);
  }
}

void runtime::leave_idle(processor& p) noexcept {
  idle.put(&p);
  arch::full_fence();  // as in a worker that goes to sleep: pairs with the fence in notify
  if (has_work() || !network.occupied()) notify();
}

void runtime::discard(fiber& f, processor* p) noexcept {
  stacks.release(f.stack_class.get(), p);
  fibers.put(&f, p);
}

void runtime::count(processor* p, owned<std::uint64_t> processor_counters::* what) noexcept {
  if (p != nullptr) {
    (p->counters.*what).add(1);
    return;
  }
  const std::scoped_lock hold(foreign_lock_);
  (foreign.*what).add(1);
}

}  // namespace gofer::inline v0::sched
