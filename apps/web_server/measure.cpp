#include "measure.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <map>
#include <string>
#include <system_error>

#include <gofer/gofer.hpp>
#include <gofer/http_client.hpp>

#include "progress_bar.hpp"
#include "statistics.hpp"

namespace web {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

/// Counts latencies in buckets that grow by sixteenths of a power of two.
class histogram {
 public:
  void add(nanoseconds d) {
    ++buckets_[bucket_of(static_cast<std::uint64_t>(std::max<std::int64_t>(d.count(), 0)))];
    ++count_;
    most_ = std::max(most_, d);
  }
  void add(const histogram& other) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    most_ = std::max(most_, other.most_);
  }

  /// What so many of a hundred did not exceed, within a sixteenth.
  nanoseconds percentile(double percent) const {
    const auto wanted = static_cast<std::uint64_t>(static_cast<double>(count_) * percent / 100);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > wanted) return std::min(most_, nanoseconds(static_cast<std::int64_t>(limit_of(i))));
    }
    return most_;
  }

  /// How many lie above `from` and not above `to`, about.
  std::uint64_t between(nanoseconds from, nanoseconds to) const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      const auto limit = static_cast<std::int64_t>(limit_of(i));
      if (limit > from.count() && limit <= to.count()) sum += buckets_[i];
    }
    return sum;
  }

  std::uint64_t count() const { return count_; }
  nanoseconds most() const { return most_; }

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
  nanoseconds most_{0};
};

/// What one connection saw.
struct seen {
  histogram latencies;
  std::map<int, std::uint64_t> statuses;
  std::uint64_t bytes = 0;
  std::uint64_t failed = 0;
  std::string first_failure;

  void add(const seen& other) {
    latencies.add(other.latencies);
    for (const auto& [status, count] : other.statuses) statuses[status] += count;
    bytes += other.bytes;
    failed += other.failed;
    if (first_failure.empty()) first_failure = other.first_failure;
  }
};

void print_histogram(const histogram& h) {
  fmt::print("\n  {:>10}  {}\n", "up to", "requests");
  constexpr std::size_t width = 50;
  nanoseconds from{0};
  std::uint64_t left = h.count();
  for (nanoseconds to = 1us; left != 0; to *= 2) {
    const std::uint64_t count = h.between(from, to);
    from = to;
    left -= std::min(left, count);
    if (count == 0) continue;
    const auto bar = static_cast<std::size_t>(static_cast<double>(count) / static_cast<double>(h.count()) * width);
    fmt::print("  {:>10}  {:<{}} {}\n", to_text(to), std::string(bar, '#'), width, count);
  }
}

void print(const measurement_options& o, const seen& all, nanoseconds took) {
  const double seconds = std::chrono::duration<double>(took).count();
  const histogram& h = all.latencies;
  fmt::print("Asked {} over {} connections for {}\n\n", o.url, o.connections, to_text(took));
  fmt::print("  answers   {}, {:.0f} a second, {:.2f} MB/s of bodies\n", h.count(),
             static_cast<double>(h.count()) / seconds, static_cast<double>(all.bytes) / 1e6 / seconds);
  for (const auto& [status, count] : all.statuses) fmt::print("  status    {}: {}\n", status, count);
  fmt::print("  failed    {}{}\n", all.failed, all.failed == 0 ? "" : "; the first: " + all.first_failure);
  if (h.count() == 0) return;
  fmt::print("  latency   50% {}, 75% {}, 90% {}, 99% {}, 99.9% {}, most {}\n", to_text(h.percentile(50)),
             to_text(h.percentile(75)), to_text(h.percentile(90)), to_text(h.percentile(99)),
             to_text(h.percentile(99.9)), to_text(h.most()));
  print_histogram(h);
}

}  // namespace

bool measure(const measurement_options& o, std::stop_token stop) {
  gofer::http::client client({.idle_per_server = o.connections, .idle_connections = o.connections});
  client.get(o.url);

  const auto begin = steady_clock::now();
  const auto end = o.requests != 0 ? steady_clock::time_point::max() : begin + o.duration;
  std::atomic<std::size_t> done{0};
  const auto one_more = [&] {
    if (stop.stop_requested() || steady_clock::now() >= end) return false;
    return done.fetch_add(1) < o.requests || o.requests == 0;
  };

  std::vector<seen> of_connections(o.connections);
  gofer::wait_group asking;
  for (seen& mine : of_connections) {
    asking.go([&] {
      while (one_more()) {
        const auto asked = steady_clock::now();
        try {
          const auto answer = client.send({.url = o.url, .stop = stop});
          mine.latencies.add(steady_clock::now() - asked);
          mine.bytes += answer.body().size();
          ++mine.statuses[answer.status()];
        } catch (const std::exception& e) {
          if (stop.stop_requested()) return;
          ++mine.failed;
          if (mine.first_failure.empty()) mine.first_failure = e.what();
        }
      }
    });
  }
  const auto progress = [&] {
    if (o.requests != 0) return std::min(done.load(), o.requests);
    return static_cast<std::size_t>((steady_clock::now() - begin) / 1ms);
  };
  {
    progress_bar bar(o.requests != 0 ? o.requests : static_cast<std::size_t>(o.duration / 1ms),
                     o.requests != 0 ? "requests" : "ms");
    while (!asking.wait_for(100ms)) bar.show(progress());
  }
  seen all;
  for (const seen& one : of_connections) all.add(one);
  print(o, all, steady_clock::now() - begin);
  return all.failed == 0;
}

}  // namespace web
