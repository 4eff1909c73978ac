// Statistics of several fields, without a lock and without an allocation for each update: every thread has its own, and
// reading puts them together. For values that change rarely atomic_value::update is simpler, and a mutex is right
// wherever an update has to wait for something.
#include <chrono>
#include <cstdint>
#include <cstdio>

#include <gofer/gofer.hpp>

#include "pace.hpp"

using namespace std::chrono_literals;
using std::chrono::steady_clock;

struct statistics {
  std::int64_t requests = 0;
  std::int64_t errors = 0;
  std::chrono::nanoseconds duration{0};
};

int main() {
  gofer::sharded<statistics> stats;
  gofer::wait_group fibers;
  for (int id = 0; id < 100; ++id) {
    fibers.go([&stats, id] {
      const auto begin = steady_clock::now();
      stats.local([](statistics& s) { ++s.requests; });
      gofer::sleep_for(pace(id % 10 * 10ms));  // work
      if (id % 7 == 0) stats.local([](statistics& s) { ++s.errors; });
      stats.local([&](statistics& s) { s.duration += steady_clock::now() - begin; });
    });
  }
  fibers.wait();

  const auto sum = stats.fold(statistics{}, [](statistics a, const statistics& b) {
    return statistics{a.requests + b.requests, a.errors + b.errors, a.duration + b.duration};
  });
  const auto milliseconds = [](std::chrono::nanoseconds d) { return static_cast<double>(d.count()) / 1e6; };
  std::printf("Requests: %lld\n", static_cast<long long>(sum.requests));
  std::printf("Errors: %lld\n", static_cast<long long>(sum.errors));
  std::printf("Total Duration: %.3fms\n", milliseconds(sum.duration));
  std::printf("Average Duration: %.3fms\n", milliseconds(sum.duration / sum.requests));
}

// Requests: 100
// Errors: 15
// Total Duration: 4506.480ms
// Average Duration: 45.065ms
