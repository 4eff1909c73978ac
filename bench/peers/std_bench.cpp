// The same work with the standard library, on two threads.

#include <atomic>
#include <barrier>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <queue>
#include <semaphore>
#include <shared_mutex>
#include <thread>

#include "../primitives.hpp"
#include "../row.hpp"

namespace {

ROW(lock_uncontended<std::mutex>, "std: mutex, uncontended");
ROW(lock_uncontended<std::recursive_mutex>, "std: recursive_mutex, uncontended");
ROW(lock_uncontended<std::shared_mutex>, "std: shared_mutex, uncontended");
ROW(semaphore_uncontended<std::counting_semaphore<>>, "std: semaphore, uncontended");

void called_before(benchmark::State& state) {
  std::once_flag flag;
  beside_another_thread(state, [&] { std::call_once(flag, [] {}); });
}
ROW(called_before, "std: call_once, called before");

const bool waiting = rows_of_waiting<std::counting_semaphore<>, std::mutex, std::condition_variable, std::barrier<>>(
    "std: ", "", on_threads);

void contended(benchmark::State& state, int inside) {
  std::mutex m;
  on_two_threads(state, [&] {
    const std::scoped_lock hold(m);
    compute(inside);
  });
}
BENCHMARK_CAPTURE(contended, nothing, 0)->Name("std: mutex, 2 threads, nothing inside")->UseRealTime();
BENCHMARK_CAPTURE(contended, short, 100)->Name("std: mutex, 2 threads, 100 ns inside")->UseRealTime();
BENCHMARK_CAPTURE(contended, long, 1000)->Name("std: mutex, 2 threads, 1 us inside")->UseRealTime();

void mutex_adding(benchmark::State& state) {
  std::mutex m;
  long sum = 0;
  on_two_threads(state, [&] {
    const std::scoped_lock hold(m);
    ++sum;
  });
}
ROW(mutex_adding, "std: mutex, 1,000 fibers adding");

void reading(benchmark::State& state) {
  std::shared_mutex m;
  long value = 1;
  on_two_threads(state, [&] {
    const std::shared_lock hold(m);
    benchmark::DoNotOptimize(value);
  });
}
ROW(reading, "std: shared_mutex, reading on 2");

void writing_seldom(benchmark::State& state) {
  std::shared_mutex m;
  long value = 1;
  thread_local int turn = 0;
  on_two_threads(state, [&] {
    if (++turn % 100 == 0) {
      const std::scoped_lock hold(m);
      ++value;
    } else {
      const std::shared_lock hold(m);
      benchmark::DoNotOptimize(value);
    }
  });
}
ROW(writing_seldom, "std: shared_mutex, 1 in 100 writes, on 2");

void counter(benchmark::State& state) {
  std::atomic<long> value{0};
  on_two_threads(state, [&] { value.fetch_add(1); });
}
ROW(counter, "std: counter on 2");

/// A bounded queue as it is mostly written.
void queue(benchmark::State& state) {
  std::mutex m;
  std::condition_variable room;
  std::condition_variable some;
  std::queue<int> values;
  for (auto _ : state) {
    std::jthread sender([&] {
      for (int i = 0; i < 500'000; ++i) {
        std::unique_lock hold(m);
        room.wait(hold, [&] { return values.size() < 100; });
        values.push(i);
        some.notify_one();
      }
    });
    for (int i = 0; i < 500'000; ++i) {
      std::unique_lock hold(m);
      some.wait(hold, [&] { return !values.empty(); });
      benchmark::DoNotOptimize(values.front());
      values.pop();
      room.notify_one();
    }
  }
  report(state, 500'000);
}
ROW(queue, "std: buffered channel, one to one");

struct statistics {
  long requests = 0, errors = 0, latency = 0;
};

void copy_and_swap(benchmark::State& state) {
  std::atomic<std::shared_ptr<const statistics>> value(std::make_shared<const statistics>());
  on_two_threads(state, [&] {
    auto before = value.load();
    for (;;) {
      auto next =
          std::make_shared<const statistics>(statistics{before->requests + 1, before->errors, before->latency + 5});
      if (value.compare_exchange_weak(before, next)) return;
    }
  });
}
ROW(copy_and_swap, "std: three-field statistics on 2");

void load(benchmark::State& state) {
  std::atomic<std::shared_ptr<const statistics>> value(std::make_shared<const statistics>());
  on_two_threads(state, [&] { benchmark::DoNotOptimize(value.load()->errors); });
}
ROW(load, "std: snapshot load on 2");

}  // namespace
