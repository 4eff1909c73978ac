#include <gofer/detail/sync/countdown.hpp>

#include <stdexcept>

#include <gofer/detail/sched/atomic.hpp>

namespace gofer::inline v0::sync {

void add_to_count(wait_queue& count, std::ptrdiff_t n, const char* operation, const char* below_zero,
                  const char* too_many) {
  sched::point(operation, &count);
  sched::backoff wait(arch::while_others_work);
  wait_queue::word seen = count.load(std::memory_order_relaxed);
  for (;;) {
    const auto before = static_cast<std::ptrdiff_t>(wait_queue::value(seen));
    if (n < -before) throw std::logic_error(below_zero);
    if (n > most_counted - before) throw std::logic_error(too_many);
    if ((seen & wait_queue::locked) != 0) {
      wait();
      seen = count.load(std::memory_order_relaxed);
      continue;
    }
    const auto after = static_cast<std::uint64_t>(before + n);
    const bool release = after == 0 && (seen & wait_queue::waiting) != 0;
    // The last one takes the list's lock in the same step, so that no waiter that gives up can return, and let the
    // primitive be destroyed, before this call has let go of it.
    const wait_queue::word flags = release ? wait_queue::waiting | wait_queue::locked : seen & wait_queue::waiting;
    if (!count.replace(seen, wait_queue::of(after) | flags)) continue;
    if (release) {
      claimed_list released = count.claim_all();
      count.unlock(0);
      released.wake();
    }
    return;
  }
}

bool wait_for_zero(wait_queue& count, const char* reason, const sched::wait_limit& limit) {
  return count.wait_until([](std::uint64_t left) { return left == 0; }, reason, limit);
}

}  // namespace gofer::inline v0::sync
