// A queue between two threads by moodycamel's concurrentqueue.

#include <concurrentqueue/blockingconcurrentqueue.h>
#include <thread>

#include "../row.hpp"

namespace {

/// Without a bound.
void concurrent_queue(benchmark::State& state) {
  for (auto _ : state) {
    moodycamel::BlockingConcurrentQueue<int> values;
    std::jthread sender([&] {
      for (int i = 0; i < 500'000; ++i) values.enqueue(i);
    });
    for (int i = 0; i < 500'000; ++i) {
      int v = 0;
      values.wait_dequeue(v);
      benchmark::DoNotOptimize(v);
    }
  }
  report(state, 500'000);
}
ROW(concurrent_queue, "moodycamel: buffered channel, one to one");

}  // namespace
