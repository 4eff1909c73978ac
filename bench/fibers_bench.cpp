#include <sys/resource.h>
#include <sys/time.h>

#include <fstream>
#include <string>

#include <gofer/gofer.hpp>

#include "row.hpp"

namespace {

void start_and_finish(benchmark::State& state, int count) {
  gofer::run([&] {
    for (auto _ : state) {
      gofer::wait_group fibers;
      for (int i = 0; i < count; ++i) fibers.go([] {});
      fibers.wait();
    }
  });
  report(state, count);
}
BENCHMARK_CAPTURE(start_and_finish, ten_thousand, 10'000)->Name("start and finish")->UseRealTime();
BENCHMARK_CAPTURE(start_and_finish, thousand, 1'000)->Name("start and finish, 1,000 fibers")->UseRealTime();
BENCHMARK_CAPTURE(start_and_finish, more, 100'000)->Name("start and finish, 100,000 fibers")->UseRealTime();
BENCHMARK_CAPTURE(start_and_finish, million, 1'000'000)->Name("start and finish, 1,000,000 fibers")->UseRealTime();

void yields(benchmark::State& state, int count, int each) {
  gofer::run([&] {
    for (auto _ : state) {
      gofer::wait_group fibers;
      for (int i = 0; i < count; ++i) {
        fibers.go([each] {
          for (int k = 0; k < each; ++k) gofer::yield();
        });
      }
      fibers.wait();
    }
  });
  report(state, std::int64_t{count} * each);
}
BENCHMARK_CAPTURE(yields, eight, 8, 10'000)->Name("yield")->UseRealTime();
BENCHMARK_CAPTURE(yields, few, 10, 100'000)->Name("yield, 10 fibers")->UseRealTime();
BENCHMARK_CAPTURE(yields, many, 1'000, 1'000)->Name("yield, 1,000 fibers")->UseRealTime();
BENCHMARK_CAPTURE(yields, very_many, 100'000, 100)->Name("yield, 100,000 fibers")->UseRealTime();

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  long total = 0;
  long resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident) * 4096;
}

/// Starts a million fibers, and calls f() when all wait.
template <class F>
void with_a_million_parked(benchmark::State& state, F&& f) {
  constexpr int count = 1'000'000;
  for (auto _ : state) {
    gofer::run([&] {
      gofer::latch go_on(1);
      gofer::latch parked(count);
      gofer::wait_group fibers;
      for (int i = 0; i < count; ++i) {
        fibers.go([&] {
          parked.count_down();
          go_on.wait();
        });
      }
      parked.wait();
      f();
      go_on.count_down();
      fibers.wait();
    });
  }
}

void a_million_parked(benchmark::State& state) {
  const double before = resident_bytes();
  with_a_million_parked(state, [&] { state.counters["bytes"] = (resident_bytes() - before) / 1e6; });
}
BENCHMARK(a_million_parked)->Name("a million parked")->Iterations(1)->UseRealTime();

void a_million_started(benchmark::State& state) {
  const auto before = std::chrono::steady_clock::now();
  with_a_million_parked(state, [&] {
    state.counters["s"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  });
}
BENCHMARK(a_million_started)->Name("a million started, until all wait")->Iterations(1)->UseRealTime();

void a_million_sleepers(benchmark::State& state) {
  for (auto _ : state) {
    const double before = cpu_seconds();
    gofer::run([] {
      gofer::wait_group fibers;
      for (int i = 0; i < 1'000'000; ++i) {
        fibers.go([i] { gofer::sleep_for(std::chrono::microseconds(i)); });
      }
      fibers.wait();
    });
    state.counters["cpu_s"] = cpu_seconds() - before;
  }
}
BENCHMARK(a_million_sleepers)->Name("a million sleepers")->Iterations(1)->UseRealTime();

void timer_added_and_stopped(benchmark::State& state) {
  gofer::run([&] {
    for (auto _ : state) {
      gofer::timer t(std::chrono::hours(1), [] {});
      t.stop();
    }
  });
  report(state, 1);
}
ROW(timer_added_and_stopped, "timer added and stopped");

}  // namespace
