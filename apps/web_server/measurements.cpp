#include "measurements.hpp"

#include <numeric>
#include <utility>

namespace web {

std::uint64_t measurements::answers::count() const {
  return std::accumulate(by_class.begin(), by_class.end(), std::uint64_t{0});
}

void measurements::answers::add(const answers& other) {
  for (std::size_t i = 0; i < by_class.size(); ++i) by_class[i] += other.by_class[i];
  latencies.add(other.latencies);
  sum += other.sum;
}

gofer::http::middleware measurements::measure() {
  return [this](gofer::http::request& q, gofer::http::response& r, const std::function<void()>& next) {
    const auto begin = std::chrono::steady_clock::now();
    next();
    const std::chrono::nanoseconds took = std::chrono::steady_clock::now() - begin;
    if (q.path().starts_with("/debug/") || q.path() == "/metrics") return;
    measured_.local([&](by_route& routes) {
      answers& a = routes[q.pattern()];
      ++a.by_class[static_cast<std::size_t>(r.status() / 100)];
      if (r.streaming()) return;
      a.latencies.add(took);
      a.sum += took;
    });
  };
}

measurements::by_route measurements::all() const {
  return measured_.fold(by_route{}, [](by_route sum, const by_route& part) {
    for (const auto& [pattern, seen] : part) sum[pattern].add(seen);
    return sum;
  });
}

measurements::answers total(const measurements::by_route& all) {
  measurements::answers sum;
  for (const auto& [pattern, seen] : all) sum.add(seen);
  return sum;
}

}  // namespace web
