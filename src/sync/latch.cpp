#include <gofer/latch.hpp>

#include <stdexcept>

#include <gofer/detail/sync/countdown.hpp>

namespace gofer::inline v0 {

latch::latch(std::ptrdiff_t expected)
    : count_(expected < 0 || expected > max() ? 0 : static_cast<std::uint64_t>(expected)) {
  if (expected < 0) throw std::logic_error("latch: made with a negative count");
  if (expected > max()) throw std::logic_error("latch: made with a count above max()");
}

void latch::count_down(std::ptrdiff_t n) {
  if (n < 0) throw std::logic_error("latch: counted down by a negative number");
  sync::add_to_count(count_, -n, "latch::count_down", "latch: counted down below zero", "latch: too many");
}

bool latch::wait(const sched::wait_limit& limit) const { return sync::wait_for_zero(count_, "latch::wait", limit); }

}  // namespace gofer::inline v0
