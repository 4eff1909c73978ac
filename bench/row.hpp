#pragma once

// What all rows of the report have in common: a name, wall time, and nanoseconds for one piece of the work.

#include <benchmark/benchmark.h>

#include <cstdint>

/// Says that every iteration did `pieces` of the work.
inline void report(benchmark::State& state, std::int64_t pieces) {
  state.counters["ns"] = benchmark::Counter(static_cast<double>(state.iterations() * pieces) / 1e9,
                                            benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

#define ROW(function, name) BENCHMARK(function)->Name(name)->UseRealTime()
