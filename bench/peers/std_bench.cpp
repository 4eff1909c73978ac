// The same work with the standard library, on two threads.

#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <thread>

#include "../row.hpp"

namespace {

template <class F>
void two_threads(F f) {
  const auto half = [&] {
    for (int k = 0; k < 500'000; ++k) f();
  };
  std::jthread other(half);
  half();
}

template <class F>
void measure(benchmark::State& state, F f) {
  for (auto _ : state) two_threads(f);
  report(state, 1'000'000);
}

void mutex_adding(benchmark::State& state) {
  std::mutex m;
  long sum = 0;
  measure(state, [&] {
    const std::scoped_lock hold(m);
    ++sum;
  });
}
ROW(mutex_adding, "std: mutex, 1,000 fibers adding");

void reading(benchmark::State& state) {
  std::shared_mutex m;
  long value = 1;
  measure(state, [&] {
    const std::shared_lock hold(m);
    benchmark::DoNotOptimize(value);
  });
}
ROW(reading, "std: shared_mutex, reading on 2");

void writing_seldom(benchmark::State& state) {
  std::shared_mutex m;
  long value = 1;
  thread_local int turn = 0;
  measure(state, [&] {
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
  measure(state, [&] { value.fetch_add(1); });
}
ROW(counter, "std: counter on 2");

struct statistics {
  long requests = 0, errors = 0, latency = 0;
};

void copy_and_swap(benchmark::State& state) {
  std::atomic<std::shared_ptr<const statistics>> value(std::make_shared<const statistics>());
  measure(state, [&] {
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
  measure(state, [&] { benchmark::DoNotOptimize(value.load()->errors); });
}
ROW(load, "std: snapshot load on 2");

}  // namespace
