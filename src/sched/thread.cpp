#include "sched/thread.hpp"

#include <unistd.h>

#include <atomic>
#include <mutex>
#include <vector>

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

/// Records of threads that ended, for reuse.
struct thread_registry {
  arch::spin_lock lock;
  std::vector<thread*> free;
  unsigned made = 0;
  std::atomic<thread*> newest{nullptr};
};

thread_registry& registry() {
  static auto& instance = *new thread_registry;  // outlives every thread
  return instance;
}

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
    auto& all = registry();
    const std::scoped_lock hold(all.lock);
    all.free.push_back(record);
  }
};

thread& register_thread() noexcept {
  thread_local return_at_exit at_exit;
  auto& all = registry();
  thread* record = nullptr;
  {
    const std::scoped_lock hold(all.lock);
    if (!all.free.empty()) {
      record = all.free.back();
      all.free.pop_back();
    } else {
      record = new thread;
      record->index = all.made++;
      record->next_made = all.newest.load(std::memory_order_relaxed);
      all.newest.store(record, std::memory_order_release);
      all.free.reserve(all.made);  // so that a thread's end never allocates
    }
  }
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

}  // namespace

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

thread* first_thread() noexcept { return registry().newest.load(std::memory_order_acquire); }

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
