#include <gofer/detail/sync/reader_count.hpp>

#include <gofer/detail/arch/asymmetric_fence.hpp>

namespace gofer::inline v0::sync {

std::int64_t reader_count::close() noexcept {
  const sched::time_point begin = sched::now();
  open_.store(false, std::memory_order_relaxed);
  arch::heavy_fence();  // pairs with the light fence in add
  std::uint64_t sum = 0;
  cells_.for_each([&](cell& c) {
    std::uint64_t word = c.word.load(std::memory_order_acquire);
    for (arch::backoff wait; (word & cell::busy) != 0; word = c.word.load(std::memory_order_acquire)) wait();
    arch::take_up(&c);  // from every fiber of the cell's thread
    sum += word / cell::one;
  });
  const std::uint64_t inside = sum - sum_when_closed_;
  sum_when_closed_ = sum;
  const sched::time_point end = sched::now();
  worth_opening_at_ = end + 9 * (end - begin);
  // The words count in 63 bits.
  return static_cast<std::int64_t>(inside << 1) >> 1;
}

bool reader_count::worth_opening() const noexcept { return sched::now() >= worth_opening_at_; }

}  // namespace gofer::inline v0::sync
