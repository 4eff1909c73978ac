#include "sched/thread.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>

#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/arch/spin_lock.hpp>
#include <gofer/detail/sched/waiter.hpp>

#include "arch/futex.hpp"

#if defined(__clang__)
#define GOFER_OPAQUE __attribute__((noinline))
#else
#define GOFER_OPAQUE __attribute__((noipa))
#endif

namespace gofer::inline v0::sched {
namespace {

/// All records, and those of threads that ended, for reuse. Outlives every thread.
struct thread_registry {
  arch::spin_lock lock;
  thread* free = nullptr;  // linked by next_free
  unsigned made = 0;
  std::atomic<thread*> newest{nullptr};
};
constinit thread_registry registry;

// Atomic because TSan takes each fiber for a thread of its own, and a fiber sees the records of all threads that it
// runs on. Acquiring, so that what registration wrote into the record is in order for it, too.
constinit thread_local std::atomic<thread*> current{nullptr};

}  // namespace

constinit thread_local std::atomic<unsigned> index_here{no_index};

namespace {

struct return_at_exit {
  thread* record = nullptr;
  ~return_at_exit() {
    if (record == nullptr) return;
    current.store(nullptr, std::memory_order_relaxed);
    index_here.store(no_index, std::memory_order_relaxed);
    record->kernel_thread.store(0, std::memory_order_relaxed);
    give_back_record(record);
  }
};

/// Makes it the calling thread's.
thread& adopt(thread* record) noexcept {
  thread_local return_at_exit at_exit;
  record->exceptions.set(arch::thread_exception_state());
  record->of_runtime = false;
  record->kernel_thread.store(gettid(), std::memory_order_relaxed);
  record->sanitized = {};
  record->sanitized.adopt_thread();
  at_exit.record = record;
  current.store(record, std::memory_order_release);
  index_here.store(record->index, std::memory_order_relaxed);
  return *record;
}

thread& register_thread() noexcept {
  try {
    return adopt(take_record());
  } catch (const std::bad_alloc&) {  // anything may call this, and cannot be told
    std::fputs("gofer: there is no memory for what is kept of each thread that uses the library\n", stderr);
    std::abort();
  }
}

}  // namespace

thread* take_record() {
  {
    const std::scoped_lock hold(registry.lock);
    if (thread* free = registry.free) {
      registry.free = free->next_free;
      return free;
    }
  }
  auto* made = new thread;
  const std::scoped_lock hold(registry.lock);
  made->index = registry.made++;
  made->next_made = registry.newest.load(std::memory_order_relaxed);
  registry.newest.store(made, std::memory_order_release);
  return made;
}

void give_back_record(thread* record) noexcept {
  const std::scoped_lock hold(registry.lock);
  record->next_free = registry.free;
  registry.free = record;
}

void begin_thread(thread_record record) noexcept { adopt(record.release()); }

GOFER_OPAQUE thread& this_thread() noexcept {
  asm volatile("" ::: "memory");
  if (thread* record = current.load(std::memory_order_acquire)) [[likely]]
    return *record;
  return register_thread();
}

GOFER_OPAQUE caller who_calls() noexcept {
  asm volatile("" ::: "memory");
  thread* record = current.load(std::memory_order_acquire);
  if (record == nullptr) record = &register_thread();
  return {.on = record, .running = record->running.get()};
}

GOFER_OPAQUE unsigned thread_index() noexcept {
  asm volatile("" ::: "memory");
  const thread* record = current.load(std::memory_order_acquire);
  return record != nullptr ? record->index : register_thread().index;
}

thread* first_thread() noexcept { return registry.newest.load(std::memory_order_acquire); }

bool parker::wait(time_point deadline, unsigned pauses) noexcept {
  for (; pauses != 0 && state_.load(std::memory_order_relaxed) != signaled; --pauses) {
    if (pauses % 16 == 0) arch::yield_thread();  // whoever is to wake us may need this very CPU
    arch::pause();
  }
  std::uint32_t expected = empty;
  if (state_.compare_exchange_strong(expected, sleeping, std::memory_order_acquire)) {
    while (state_.load(std::memory_order_acquire) == sleeping) {
      if (arch::futex_wait(state_, sleeping, deadline)) continue;
      expected = sleeping;
      if (state_.compare_exchange_strong(expected, empty, std::memory_order_acquire)) return false;
    }
  }
  state_.store(empty, std::memory_order_relaxed);
  return true;
}

void parker::signal() noexcept {
  // The record outlives its thread, so the word may be used after the exchange.
  if (state_.exchange(signaled, std::memory_order_acq_rel) == sleeping) arch::futex_wake(state_);
}

}  // namespace gofer::inline v0::sched
