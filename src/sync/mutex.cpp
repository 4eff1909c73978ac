#include <gofer/mutex.hpp>

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <optional>

#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/arch/restartable.hpp>
#include <gofer/detail/sched/atomic.hpp>
#include <gofer/runtime.hpp>

namespace gofer::inline v0 {
namespace {

/// A waiter that was passed over for this long has the mutex handed to it.
constexpr std::chrono::milliseconds patience{1};

/// How often a lock is tried again before its caller waits.
constexpr int tries = sched::explores_atomics ? 0 : 2;

// Outcomes of a wait: `woken` means "try again", this one "it is yours".
constexpr std::uint32_t handed_over = sched::waiter::first_case;

struct alignas(16) mutex_node : sync::wait_node {
  using wait_node::wait_node;
  bool impatient = false;
};

/// The first waits for all mutexes, each of which interrupts all threads.
struct {
  std::mutex one_at_a_time;  // so that `wanted_soon`, if it is there after the restart, never was away
  std::atomic<bool> for_nothing{false};

  /// With the mutex: restarts everywhere. A program that would spend too much on that, because it makes mutexes all the
  /// time that are fought over, goes on without.
  void restart() noexcept {
    const sched::time_point begin = sched::now();
    arch::restart_everywhere();
    const sched::time_point end = sched::now();
    if (first_ == sched::time_point{}) first_ = begin;
    spent_ += end - begin;
    if (spent_ < std::chrono::milliseconds(10) + (end - first_) / 100) return;
    arch::give_restarts_up();
    for_nothing = true;
  }

 private:
  sched::time_point first_{};
  sched::time_point::duration spent_{};
} constinit first_waits;

std::uintptr_t bits(const sync::wait_list& list) noexcept { return reinterpret_cast<std::uintptr_t>(list.front()); }

}  // namespace

/// Sets `wanted`, unless the mutex is unlocked meanwhile.
void mutex::want() noexcept {
  std::uintptr_t seen = locked;
  if (sched::explores_atomics || !arch::can_restart || first_waits.for_nothing) {
    word_.compare_exchange_strong(seen, locked | wanted, std::memory_order_relaxed);
    return;
  }
  const std::scoped_lock hold(first_waits.one_at_a_time);
  if (!word_.compare_exchange_strong(seen, locked | wanted_soon)) return;
  first_waits.restart();
  seen = word_.load(std::memory_order_relaxed);
  while ((seen & wanted_soon) != 0 &&
         !word_.compare_exchange_weak(seen, (seen & locked) | wanted, std::memory_order_relaxed)) {
  }
}

/// Takes the queue's lock; returns the word as it was, without that lock.
std::uintptr_t mutex::lock_queue() noexcept {
  sched::backoff wait(arch::while_others_work);
  std::uintptr_t seen = word_.load(std::memory_order_relaxed);
  for (;;) {
    if ((seen & queue_locked) != 0) {
      wait();
      seen = word_.load(std::memory_order_relaxed);
    } else if (word_.compare_exchange_weak(seen, seen | queue_locked, std::memory_order_acq_rel,
                                           std::memory_order_relaxed)) {
      return seen;
    }
  }
}

bool mutex::lock_slow(const sched::wait_limit& limit) noexcept {
  if (processors() > 1) {
    arch::backoff wait(arch::while_others_work);
    for (int i = 0; i < tries; ++i) {
      wait();
      const std::uintptr_t seen = word_.load(std::memory_order_relaxed);
      if ((seen & locked) == 0 && take()) return true;
      if (first_waiter(seen) != nullptr) break;  // others are before us
    }
  }
  std::optional<sched::time_point> passed_over;  // when it happened first
  bool impatient = false;
  for (;;) {
    sched::waiter self("mutex::lock", this, limit);
    mutex_node node(self);
    node.impatient = impatient;
    {
      sched::backoff wait(arch::while_others_work);
      std::uintptr_t seen = word_.load(std::memory_order_relaxed);
      for (;;) {  // take the mutex if it is free, else the queue's lock
        if ((seen & locked) == 0) {
          if (word_.compare_exchange_weak(seen, seen | locked, std::memory_order_acquire, std::memory_order_relaxed)) {
            return true;
          }
        } else if ((seen & wanted) == 0) {
          want();
          seen = word_.load(std::memory_order_relaxed);
        } else if ((seen & queue_locked) != 0) {
          wait();
          seen = word_.load(std::memory_order_relaxed);
        } else if (word_.compare_exchange_weak(seen, seen | queue_locked, std::memory_order_acq_rel,
                                               std::memory_order_relaxed)) {
          break;
        }
      }
      sync::wait_list queue(first_waiter(seen));
      if (passed_over) {
        queue.push_front(node);
      } else {
        queue.push_back(node);
      }
      // It stays locked until we let go of the queue, because unlocking a mutex with a queue needs the queue's lock.
      word_.store(bits(queue) | wanted | locked, std::memory_order_release);
    }
    switch (self.wait()) {
      case handed_over:
        return true;
      case sched::waiter::woken:
        if (!passed_over) {
          passed_over = sched::now();
        } else {
          impatient = impatient || sched::now() - *passed_over > patience;
        }
        break;
      default:
        forget(node);
        return false;
    }
  }
}

/// Takes a waiter that gave up out of the queue, if it is still there.
void mutex::forget(sync::wait_node& node) noexcept {
  std::uintptr_t seen = lock_queue();
  sync::wait_list queue(first_waiter(seen));
  queue.remove(node);
  seen |= queue_locked;
  // Others may set `locked` meanwhile.
  while (!word_.compare_exchange_weak(seen, bits(queue) | wanted | (seen & locked), std::memory_order_acq_rel,
                                      std::memory_order_relaxed)) {
  }
}

void mutex::unlock_slow() noexcept {
  sched::backoff wait(arch::while_others_work);
  std::uintptr_t seen = word_.load(std::memory_order_relaxed);
  for (;;) {
    if ((seen & locked) == 0) {
      std::fputs("gofer: mutex::unlock: the mutex is not locked\n", stderr);
      std::abort();
    }
    if ((seen & ~(wanted | wanted_soon)) == locked) {
      if (word_.compare_exchange_weak(seen, seen & ~locked, std::memory_order_release, std::memory_order_relaxed)) {
        return;
      }
    } else if ((seen & queue_locked) != 0) {
      wait();
      seen = word_.load(std::memory_order_relaxed);
    } else if (word_.compare_exchange_weak(seen, seen | queue_locked, std::memory_order_acq_rel,
                                           std::memory_order_relaxed)) {
      break;
    }
  }
  sync::wait_list queue(first_waiter(seen));
  sync::wait_node* chosen = nullptr;
  bool hand_over = false;
  while ((chosen = queue.pop_front()) != nullptr) {
    hand_over = static_cast<mutex_node*>(chosen)->impatient;
    if (chosen->who->claim(hand_over ? handed_over : sched::waiter::woken)) break;
  }
  hand_over = hand_over && chosen != nullptr;
  // The last touch of the mutex: gives up both locks at once, or only the queue's when the mutex is handed over.
  word_.store(bits(queue) | wanted | (hand_over ? locked : 0), std::memory_order_release);
  if (chosen != nullptr) chosen->who->wake();
}

}  // namespace gofer::inline v0
