// The same work with Abseil's mutex, on two threads.

#include <absl/synchronization/mutex.h>

#include "../row.hpp"

namespace {

void uncontended(benchmark::State& state) {
  absl::Mutex m;
  for (auto _ : state) {
    const absl::MutexLock hold(&m);
    benchmark::ClobberMemory();
  }
  report(state, 1);
}
ROW(uncontended, "absl: mutex, uncontended");

void contended(benchmark::State& state, int inside) {
  absl::Mutex m;
  on_two_threads(state, [&] {
    const absl::MutexLock hold(&m);
    compute(inside);
  });
}
BENCHMARK_CAPTURE(contended, nothing, 0)->Name("absl: mutex, 2 threads, nothing inside")->UseRealTime();
BENCHMARK_CAPTURE(contended, short, 100)->Name("absl: mutex, 2 threads, 100 ns inside")->UseRealTime();
BENCHMARK_CAPTURE(contended, long, 1000)->Name("absl: mutex, 2 threads, 1 us inside")->UseRealTime();

void reading(benchmark::State& state) {
  absl::Mutex m;
  long value = 1;
  on_two_threads(state, [&] {
    const absl::ReaderMutexLock hold(&m);
    benchmark::DoNotOptimize(value);
  });
}
ROW(reading, "absl: shared_mutex, reading on 2");

}  // namespace
