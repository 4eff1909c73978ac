#include <algorithm>
#include <bit>

#include <gofer/detail/task/pool_core.hpp>

namespace gofer::inline v0::tasks {
namespace {

constexpr unsigned eighths = 3;  // the logarithm of the steps in each power of two

std::size_t bucket_of(std::uint64_t ns) noexcept {
  if (ns < 1U << eighths) return ns;
  const auto exponent = static_cast<unsigned>(std::bit_width(ns)) - 1;
  const std::uint64_t step = ns >> (exponent - eighths);  // 8 to 15
  return std::uint64_t{exponent - eighths} * 8 + step;
}

std::chrono::nanoseconds upper_bound(std::size_t bucket) noexcept {
  if (bucket < 16) return std::chrono::nanoseconds(bucket);
  const std::size_t shift = bucket / 8 - 1;
  return std::chrono::nanoseconds(((bucket % 8 + 9) << shift) - 1);
}

}  // namespace

void latency_histogram::add(std::chrono::nanoseconds d) noexcept {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(0, d.count()));
  ++buckets_[std::min(bucket_of(ns), buckets_.size() - 1)];
  ++count_;
  max_ = std::max(max_, d);
}

latency_percentiles latency_histogram::percentiles() const noexcept {
  latency_percentiles p{.max = max_, .samples = count_};
  if (count_ == 0) return p;
  const auto at = [&](std::uint64_t hundredths) {
    const std::uint64_t rank = (count_ * hundredths + 99) / 100;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= rank) return std::min(upper_bound(i), max_);
    }
    return max_;
  };
  p.p50 = at(50);
  p.p90 = at(90);
  p.p99 = at(99);
  return p;
}

}  // namespace gofer::inline v0::tasks
