#include "measure.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <system_error>

#include <gofer/gofer.hpp>
#include <gofer/http_client.hpp>

#include "histogram.hpp"
#include "progress_bar.hpp"
#include "statistics.hpp"

namespace web {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

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
