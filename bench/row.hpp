#pragma once

// What all rows of the report have in common: a name, wall time, and nanoseconds for one piece of the work.

#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <cstdint>
#include <thread>

/// Says that every iteration did `pieces` of the work.
inline void report(benchmark::State& state, std::int64_t pieces) {
  state.counters["ns"] = benchmark::Counter(static_cast<double>(state.iterations() * pieces) / 1e9,
                                            benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// Two plain threads do f() half a million times each.
template <class F>
void on_two_threads(benchmark::State& state, F f) {
  const auto half = [&] {
    for (int k = 0; k < 500'000; ++k) f();
  };
  for (auto _ : state) {
    std::jthread other(half);
    half();
  }
  report(state, 1'000'000);
}

/// Computes for about so many nanoseconds: each step needs the one before, in three or four cycles.
inline void compute(int nanoseconds) {
  std::uint64_t x = 1;
  for (int i = 0; i < nanoseconds; ++i) benchmark::DoNotOptimize(x *= 6364136223846793005ULL);
}

/// What this process has used so far.
inline double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

#define ROW(function, name) BENCHMARK(function)->Name(name)->UseRealTime()
