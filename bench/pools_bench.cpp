#include <ranges>
#include <vector>

#include <gofer/gofer.hpp>

#include "row.hpp"

namespace {

constexpr int tasks = 100'000;

/// One producer, 4 workers, and all results collected.
void results(benchmark::State& state, int count) {
  gofer::run([&] {
    for (auto _ : state) {
      gofer::worker_pool<int, int> workers([](int i) { return i + 1; }, {.min_workers = 4});
      gofer::go([&] {
        for (int i = 0; i < count; ++i) workers.submit(i);
        workers.drain();
      });
      for (auto& result : workers.results()) benchmark::DoNotOptimize(result.value());
    }
  });
  report(state, count);
}
BENCHMARK_CAPTURE(results, some, tasks)->Name("pool, 4 workers")->UseRealTime();
BENCHMARK_CAPTURE(results, few, 1'000)->Name("pool, 4 workers, 1,000 tasks")->UseRealTime();
BENCHMARK_CAPTURE(results, many, 1'000'000)->Name("pool, 4 workers, 1,000,000 tasks")->UseRealTime();
BENCHMARK_CAPTURE(results, most, 10'000'000)->Name("pool, 4 workers, 10,000,000 tasks")->UseRealTime();

void futures(benchmark::State& state) {
  constexpr std::size_t at_once = 1000;
  gofer::run([&] {
    gofer::worker_pool<> workers({.min_workers = 4, .queue_capacity = at_once});
    std::vector<gofer::future<int>> all(at_once);
    for (auto _ : state) {
      for (auto& one : all) one = workers.submit([] { return 1; });
      for (auto& one : all) benchmark::DoNotOptimize(one.get());
    }
  });
  report(state, at_once);
}
ROW(futures, "pool, futures");

/// Several producers, and nobody asks for results.
void fire_and_forget(benchmark::State& state, int producers) {
  gofer::run([&] {
    for (auto _ : state) {
      gofer::worker_pool<int> workers([](int i) { benchmark::DoNotOptimize(i); }, {.min_workers = 4});
      gofer::wait_group all;
      for (int p = 0; p < producers; ++p) {
        all.go([&] {
          for (int i = 0; i < tasks / producers; ++i) workers.submit(i);
        });
      }
      all.wait();
      workers.drain();
    }
  });
  report(state, tasks);
}
BENCHMARK_CAPTURE(fire_and_forget, one, 1)->Name("pool, fire and forget")->UseRealTime();
BENCHMARK_CAPTURE(fire_and_forget, eight, 8)->Name("pool, 8 producers")->UseRealTime();

void forget_a_range(benchmark::State& state) {
  gofer::run([&] {
    for (auto _ : state) {
      gofer::worker_pool<int> workers([](int i) { benchmark::DoNotOptimize(i); }, {.min_workers = 4});
      workers.submit(std::views::iota(0, tasks));
      workers.drain();
    }
  });
  report(state, tasks);
}
ROW(forget_a_range, "pool, a range to forget");

void computing(benchmark::State& state, int nanoseconds) {
  constexpr int some = 10'000;
  gofer::run([&] {
    for (auto _ : state) {
      gofer::worker_pool<int> workers([](int n) { compute(n); }, {.min_workers = 4});
      for (int i = 0; i < some; ++i) workers.submit(nanoseconds);
      workers.drain();
    }
  });
  report(state, some);
}
BENCHMARK_CAPTURE(computing, short, 1000)->Name("pool, 1 us tasks")->UseRealTime();
BENCHMARK_CAPTURE(computing, long, 10000)->Name("pool, 10 us tasks")->UseRealTime();

}  // namespace
