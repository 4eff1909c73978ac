// The primitives among plain threads, which is how many programs begin with them.

#include <mutex>
#include <shared_mutex>

#include <gofer/gofer.hpp>

#include "primitives.hpp"
#include "row.hpp"

namespace {

ROW(lock_uncontended<gofer::mutex>, "mutex, uncontended");
ROW(lock_uncontended<gofer::recursive_mutex>, "recursive_mutex, uncontended");
ROW(lock_uncontended<gofer::shared_mutex>, "shared_mutex, uncontended");
ROW(semaphore_uncontended<gofer::counting_semaphore<>>, "semaphore, uncontended");

void called_before(benchmark::State& state) {
  gofer::once_flag flag;
  beside_another_thread(state, [&] { gofer::call_once(flag, [] {}); });
}
ROW(called_before, "call_once, called before");

const bool waiting =
    rows_of_waiting<gofer::counting_semaphore<>, gofer::mutex, gofer::condition_variable, gofer::barrier<>>(
        "", ", threads", on_threads);

void contended(benchmark::State& state, int inside) {
  gofer::mutex m;
  on_two_threads(state, [&] {
    const std::scoped_lock hold(m);
    compute(inside);
  });
}
BENCHMARK_CAPTURE(contended, nothing, 0)->Name("mutex, 2 threads, nothing inside")->UseRealTime();
BENCHMARK_CAPTURE(contended, short, 100)->Name("mutex, 2 threads, 100 ns inside")->UseRealTime();
BENCHMARK_CAPTURE(contended, long, 1000)->Name("mutex, 2 threads, 1 us inside")->UseRealTime();

void reading(benchmark::State& state) {
  gofer::shared_mutex m;
  long value = 1;
  on_two_threads(state, [&] {
    const std::shared_lock hold(m);
    benchmark::DoNotOptimize(value);
  });
}
ROW(reading, "shared_mutex, reading on 2, threads");

void counter(benchmark::State& state) {
  gofer::sharded_counter value;
  on_two_threads(state, [&] { value.increment(); });
}
ROW(counter, "counter on 2, threads");

struct three {
  long requests = 0, errors = 0, latency = 0;
};

void statistics(benchmark::State& state) {
  gofer::sharded<three> stats;
  on_two_threads(state, [&] {
    stats.local([](three& s) {
      ++s.requests;
      s.latency += 5;
    });
  });
}
ROW(statistics, "three-field statistics on 2, threads");

void snapshot(benchmark::State& state) {
  gofer::atomic_value<three> value({1, 2, 3});
  on_two_threads(state, [&] { benchmark::DoNotOptimize(value.load()->errors); });
}
ROW(snapshot, "snapshot load on 2, threads");

void channel(benchmark::State& state) {
  gofer::chan<int> ch(100);
  for (auto _ : state) {
    std::jthread sender([&] {
      for (int i = 0; i < 500'000; ++i) ch.send(i);
    });
    for (int i = 0; i < 500'000; ++i) benchmark::DoNotOptimize(ch.receive());
  }
  report(state, 500'000);
}
ROW(channel, "buffered channel, one to one, threads");

}  // namespace
