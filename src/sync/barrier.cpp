#include <gofer/barrier.hpp>

#include <stdexcept>

#include <gofer/detail/sched/atomic.hpp>

namespace gofer::inline v0::sync {
namespace {

constexpr unsigned phase_shift = 32;

constexpr std::uint64_t value_of(std::uint64_t phase, std::uint64_t missing) noexcept {
  return (phase << phase_shift | missing) & wait_queue::value(static_cast<wait_queue::word>(-1));
}
constexpr std::ptrdiff_t missing(std::uint64_t value) noexcept {
  return static_cast<std::ptrdiff_t>(value & 0xffff'ffff);
}
/// 30 bits of it: the others are the queue's.
constexpr std::uint32_t phase(std::uint64_t value) noexcept { return static_cast<std::uint32_t>(value >> phase_shift); }

std::uint64_t checked(std::ptrdiff_t expected) {
  if (expected < 0 || expected > phases::max)
    throw std::logic_error("barrier: made for fewer than none, or above max()");
  return static_cast<std::uint64_t>(expected);
}

}  // namespace

phases::phases(std::ptrdiff_t expected) : word_(value_of(0, checked(expected))), expected_(expected) {}

phases::arrival phases::arrive(std::ptrdiff_t n) {
  sched::point("barrier::arrive", this);
  if (n <= 0) throw std::logic_error("barrier::arrive: nobody arrives");
  sched::backoff wait(arch::while_others_work);
  wait_queue::word seen = word_.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t value = wait_queue::value(seen);
    if (n > missing(value)) throw std::logic_error("barrier: more have arrived than were expected");
    if ((seen & wait_queue::locked) != 0) {
      wait();
      seen = word_.load(std::memory_order_relaxed);
    } else if (word_.replace(seen, seen - wait_queue::of(static_cast<std::uint64_t>(n)))) {
      return {.phase = phase(value), .last = n == missing(value)};
    }
  }
}

phases::arrival phases::drop() {
  // First: the last to arrive reads it. Nobody else does before the phase has ended.
  expected_.fetch_sub(1, std::memory_order_relaxed);
  try {
    return arrive(1);
  } catch (...) {
    expected_.fetch_add(1, std::memory_order_relaxed);
    throw;
  }
}

/// Called by the last to arrive: who has arrived may only wait, so the word changes by nothing but the queue's flags.
void phases::end_phase() noexcept {
  sched::point("barrier: the phase ends", this);
  const std::uint64_t next = phase(word_.lock()) + std::uint64_t{1};
  const auto expected = static_cast<std::uint64_t>(expected_.load(std::memory_order_relaxed));
  claimed_list released = word_.claim_all();
  word_.unlock(value_of(next, expected));
  released.wake();
}

bool phases::wait(std::uint32_t of, const sched::wait_limit& limit) const {
  return word_.wait_until([of](std::uint64_t value) { return phase(value) != of; }, "barrier::wait", limit);
}

}  // namespace gofer::inline v0::sync
