// The same work with oneTBB.

#include <chrono>

#include <tbb/task_group.h>

#include "../row.hpp"

namespace {

void tbb_start(benchmark::State& state) {
  for (auto _ : state) {
    tbb::task_group group;
    for (int i = 0; i < 10'000; ++i) group.run([] {});
    group.wait();
  }
  report(state, 10'000);
}
ROW(tbb_start, "oneTBB: start and finish");

int fib(int n) {
  if (n < 2) return n;
  int first = 0;
  int second = 0;
  tbb::task_group children;
  children.run([&] { first = fib(n - 1); });
  second = fib(n - 2);
  children.wait();
  return first + second;
}

void tbb_fib(benchmark::State& state) {
  for (auto _ : state) {
    const auto before = std::chrono::steady_clock::now();
    if (fib(30) != 832'040) state.SkipWithError("a wrong number");
    state.counters["s"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
  }
}
BENCHMARK(tbb_fib)->Name("oneTBB: fib of 30, a fiber a call")->Iterations(1)->UseRealTime();

void tbb_forget(benchmark::State& state) {
  constexpr int pieces = 100'000;
  for (auto _ : state) {
    tbb::task_group group;
    for (int i = 0; i < pieces; ++i) group.run([i] { benchmark::DoNotOptimize(i); });
    group.wait();
  }
  report(state, pieces);
}
ROW(tbb_forget, "oneTBB: pool, fire and forget");

}  // namespace
