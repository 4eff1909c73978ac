#include <gofer/counting_semaphore.hpp>

#include <stdexcept>

#include <gofer/detail/sched/atomic.hpp>

namespace gofer::inline v0::sync {

bool semaphore::try_acquire() noexcept {
  sched::point("semaphore::acquire", this);
  sched::backoff wait(arch::while_others_work);
  wait_queue::word seen = permits_.load(std::memory_order_relaxed);
  while (wait_queue::value(seen) != 0) {
    if ((seen & wait_queue::locked) != 0) {
      wait();
      seen = permits_.load(std::memory_order_relaxed);
    } else if (permits_.replace(seen, seen - wait_queue::of(1))) {
      return true;
    }
  }
  return false;
}

bool semaphore::acquire(const sched::wait_limit& limit) {
  if (try_acquire()) return true;
  sched::waiter self("semaphore::acquire", this, limit);
  wait_node node(self);
  const std::uint64_t permits = permits_.lock();
  if (permits != 0) {
    permits_.unlock(permits - 1);
    return true;
  }
  permits_.push_back(node);
  permits_.unlock(0);
  return permits_.wait(node) == sched::waiter::woken;
}

void semaphore::release(std::ptrdiff_t n, std::ptrdiff_t up_to) {
  if (n < 0) throw std::logic_error("counting_semaphore: release of a negative number");
  sched::point("semaphore::release", this);
  const auto more = static_cast<std::uint64_t>(n);
  const auto limit = static_cast<std::uint64_t>(up_to);
  wait_queue::word seen = permits_.load(std::memory_order_relaxed);
  while ((seen & (wait_queue::waiting | wait_queue::locked)) == 0) {
    if (more > limit - wait_queue::value(seen)) throw std::logic_error("counting_semaphore: released above max()");
    if (permits_.replace(seen, seen + wait_queue::of(more))) return;
  }
  std::uint64_t permits = permits_.lock();
  if (more > limit - permits) {
    permits_.unlock(permits);
    throw std::logic_error("counting_semaphore: released above max()");
  }
  permits += more;
  claimed_list admitted;
  while (permits != 0) {
    wait_node* first = permits_.claim_first();
    if (first == nullptr) break;
    admitted.push(*first);
    --permits;
  }
  permits_.unlock(permits);
  admitted.wake();
}

}  // namespace gofer::inline v0::sync
