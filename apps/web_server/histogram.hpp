#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace web {

/// Counts latencies in buckets that grow by sixteenths of a power of two.
class histogram {
 public:
  void add(std::chrono::nanoseconds d) {
    ++buckets_[bucket_of(static_cast<std::uint64_t>(std::max<std::int64_t>(d.count(), 0)))];
    ++count_;
    most_ = std::max(most_, d);
  }
  void add(const histogram& other) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    most_ = std::max(most_, other.most_);
  }
  /// What was added since it was `before`; the most is that of all.
  histogram since(const histogram& before) const {
    histogram h = *this;
    for (std::size_t i = 0; i < buckets_.size(); ++i) h.buckets_[i] -= before.buckets_[i];
    h.count_ -= before.count_;
    return h;
  }

  /// What so many of a hundred did not exceed, within a sixteenth.
  std::chrono::nanoseconds percentile(double percent) const {
    const auto wanted = static_cast<std::uint64_t>(static_cast<double>(count_) * percent / 100);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > wanted) return std::min(most_, std::chrono::nanoseconds(static_cast<std::int64_t>(limit_of(i))));
    }
    return most_;
  }

  /// How many lie above `from` and not above `to`, about.
  std::uint64_t between(std::chrono::nanoseconds from, std::chrono::nanoseconds to) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      const auto limit = static_cast<std::int64_t>(limit_of(i));
      if (limit > from.count() && limit <= to.count()) sum += buckets_[i];
    }
    return sum;
  }

  std::uint64_t count() const { return count_; }
  std::chrono::nanoseconds most() const { return most_; }

 private:
  static constexpr std::size_t parts = 16;
  static std::size_t bucket_of(std::uint64_t n) {
    if (n < parts) return n;
    const auto power = static_cast<unsigned>(std::bit_width(n)) - 5;  // n >> power is from 16 to 31
    return parts * power + (n >> power);
  }
  static std::uint64_t limit_of(std::size_t bucket) {
    if (bucket < 2 * parts) return bucket;
    const std::size_t power = bucket / parts - 1;
    return (bucket % parts + parts + 1) << power;
  }

  std::array<std::uint64_t, 60 * parts> buckets_{};
  std::uint64_t count_ = 0;
  std::chrono::nanoseconds most_{0};
};

}  // namespace web
