#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include <gofer/detail/arch/spin_lock.hpp>

#include "sched/processor.hpp"
#include "sched/thread.hpp"

namespace gofer::inline v0::sched {

/// Processors that nobody runs, worker threads that run none, and how many workers are looking for work. The rule
/// that no wake-up is lost: whoever publishes work then fences and looks here; whoever goes idle enters here, then
/// fences and looks for work.
class idle_set {
 public:
  void put(processor* p) noexcept {
    const std::scoped_lock hold(lock_);
    p->idle.store(true, std::memory_order_relaxed);
    p->next_idle = processors_;
    processors_ = p;
    idle_.fetch_add(1, std::memory_order_relaxed);
  }

  /// An idle processor for the caller to run, or null.
  processor* take() noexcept {
    if (idle() == 0) return nullptr;
    const std::scoped_lock hold(lock_);
    processor* p = processors_;
    if (p == nullptr) return nullptr;
    remove(processors_);
    return p;
  }

  /// An idle surplus processor, or null.
  processor* take_surplus() noexcept {
    const std::scoped_lock hold(lock_);
    for (processor** at = &processors_; *at != nullptr; at = &(*at)->next_idle) {
      processor* p = *at;
      if (!p->surplus) continue;
      remove(*at);
      return p;
    }
    return nullptr;
  }

  void put(thread* spare) noexcept {
    const std::scoped_lock hold(lock_);
    spare->next_spare = spares_;
    spares_ = spare;
    spare_count_.fetch_add(1, std::memory_order_relaxed);
  }

  /// A worker that sleeps without a processor, or null.
  thread* take_spare() noexcept {
    const std::scoped_lock hold(lock_);
    thread* t = spares_;
    if (t == nullptr) return nullptr;
    spares_ = t->next_spare;
    spare_count_.fetch_sub(1, std::memory_order_relaxed);
    return t;
  }

  unsigned idle() const noexcept { return idle_.load(std::memory_order_relaxed); }
  unsigned spares() const noexcept { return spare_count_.load(std::memory_order_relaxed); }

  /// How often a processor was taken so far. While all are idle nobody runs a fiber, serves a timer or the network
  /// without taking one first, so that between two equal answers nothing of that happened.
  std::uint64_t takes() noexcept {
    const std::scoped_lock hold(lock_);
    return takes_;
  }

  /// Workers with a processor that look for work. While there is one, publishers need wake nobody: a searcher that
  /// finds something makes another worker search.
  std::atomic<unsigned> searching{0};

 private:
  /// With the lock: takes the processor that `at` points to out of the list.
  void remove(processor*& at) noexcept {
    at->idle.store(false, std::memory_order_relaxed);
    at = at->next_idle;
    ++takes_;
    idle_.fetch_sub(1, std::memory_order_relaxed);
  }

  arch::spin_lock lock_;
  processor* processors_ = nullptr;
  thread* spares_ = nullptr;
  std::uint64_t takes_ = 0;
  std::atomic<unsigned> idle_{0};
  std::atomic<unsigned> spare_count_{0};
};

}  // namespace gofer::inline v0::sched
