#include <functional>
#include <mutex>
#include <shared_mutex>
#include <vector>

#include <gofer/gofer.hpp>

#include "primitives.hpp"
#include "row.hpp"

namespace {

/// `fibers` fibers do `f()` `each` times.
template <class F>
void many(int fibers, int each, F f) {
  gofer::wait_group group;
  for (int i = 0; i < fibers; ++i) {
    group.go([&] {
      for (int k = 0; k < each; ++k) f();
    });
  }
  group.wait();
}

void mutex_adding(benchmark::State& state) {
  gofer::mutex m;
  long sum = 0;
  gofer::run([&] {
    for (auto _ : state) {
      many(1000, 1000, [&] {
        const std::scoped_lock hold(m);
        ++sum;
      });
    }
  });
  report(state, 1'000'000);
}
ROW(mutex_adding, "mutex, 1,000 fibers adding");

void as_fibers(const std::vector<std::function<void()>>& all) {
  gofer::wait_group group;
  for (const auto& f : all) group.go(f);
  group.wait();
}
const bool waiting =
    rows_of_waiting<gofer::counting_semaphore<>, gofer::mutex, gofer::condition_variable, gofer::barrier<>>("", "",
                                                                                                            as_fibers);

void reading_on_two(benchmark::State& state) {
  gofer::shared_mutex m;
  long value = 1;
  gofer::run([&] {
    for (auto _ : state) {
      many(2, 500'000, [&] {
        const std::shared_lock hold(m);
        benchmark::DoNotOptimize(value);
      });
    }
  });
  report(state, 1'000'000);
}
ROW(reading_on_two, "shared_mutex, reading on 2");

void writing_seldom_on_two(benchmark::State& state) {
  gofer::shared_mutex m;
  long value = 1;
  gofer::run([&] {
    for (auto _ : state) {
      many(2, 5'000, [&] {
        for (int i = 1; i < 100; ++i) {
          const std::shared_lock hold(m);
          benchmark::DoNotOptimize(value);
        }
        const std::scoped_lock hold(m);
        ++value;
      });
    }
  });
  report(state, 1'000'000);
}
ROW(writing_seldom_on_two, "shared_mutex, 1 in 100 writes, on 2");

void counter_on_two(benchmark::State& state) {
  gofer::sharded_counter counter;
  gofer::run([&] {
    for (auto _ : state) many(2, 500'000, [&] { counter.increment(); });
  });
  report(state, 1'000'000);
}
ROW(counter_on_two, "counter on 2");

struct statistics {
  long requests = 0, errors = 0, latency = 0;
};

void statistics_on_two(benchmark::State& state) {
  gofer::sharded<statistics> stats;
  gofer::run([&] {
    for (auto _ : state) {
      many(2, 500'000, [&] {
        stats.local([](statistics& s) {
          ++s.requests;
          s.latency += 5;
        });
      });
    }
  });
  report(state, 1'000'000);
}
ROW(statistics_on_two, "three-field statistics on 2");

void snapshot_on_two(benchmark::State& state) {
  gofer::atomic_value<statistics> value({1, 2, 3});
  gofer::run([&] {
    for (auto _ : state) many(2, 500'000, [&] { benchmark::DoNotOptimize(value.load()->errors); });
  });
  report(state, 1'000'000);
}
ROW(snapshot_on_two, "snapshot load on 2");

}  // namespace
