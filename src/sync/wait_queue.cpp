#include <gofer/detail/sched/atomic.hpp>
#include <gofer/detail/sync/wait_queue.hpp>

namespace gofer::inline v0::sync {

std::uint64_t wait_queue::lock() noexcept {
  sched::backoff wait(arch::while_others_work);
  word seen = word_.load(std::memory_order_relaxed);
  for (;;) {
    if ((seen & locked) != 0) {
      wait();
      seen = word_.load(std::memory_order_relaxed);
    } else if (word_.compare_exchange_weak(seen, seen | locked, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      return value(seen);
    }
  }
}

std::uint32_t wait_queue::wait(wait_node& n) noexcept {
  const std::uint32_t outcome = n.who->wait();
  if (outcome == sched::waiter::woken) return outcome;
  sched::point("leaving a queue", this);
  leave(n);
  return outcome;
}

void wait_queue::leave(wait_node& n) noexcept {
  const std::uint64_t value = lock();
  list_.remove(n);
  unlock(value);
}

}  // namespace gofer::inline v0::sync
