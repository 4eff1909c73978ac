// The same work with Boost.Fiber (one thread, its default) and oneTBB.

#include <boost/fiber/all.hpp>
#include <chrono>
#include <vector>

#include <tbb/task_group.h>

#include "../row.hpp"

namespace {

namespace fibers = boost::fibers;

void tbb_start(benchmark::State& state) {
  for (auto _ : state) {
    tbb::task_group group;
    for (int i = 0; i < 10'000; ++i) group.run([] {});
    group.wait();
  }
  report(state, 10'000);
}
ROW(tbb_start, "oneTBB: start and finish");

void boost_start(benchmark::State& state) {
  for (auto _ : state) {
    std::vector<fibers::fiber> all;
    all.reserve(1000);
    for (int i = 0; i < 1000; ++i) all.emplace_back([] {});
    for (auto& f : all) f.join();
  }
  report(state, 1000);
}
ROW(boost_start, "Boost.Fiber: start and finish");

void boost_yield(benchmark::State& state) {
  for (auto _ : state) {
    std::vector<fibers::fiber> all;
    for (int i = 0; i < 8; ++i) {
      all.emplace_back([] {
        for (int k = 0; k < 10'000; ++k) boost::this_fiber::yield();
      });
    }
    for (auto& f : all) f.join();
  }
  report(state, 80'000);
}
ROW(boost_yield, "Boost.Fiber: yield");

void boost_round_trip(benchmark::State& state) {
  fibers::unbuffered_channel<int> there;
  fibers::unbuffered_channel<int> back;
  fibers::fiber other([&] {
    for (const int v : there) back.push(v);
  });
  for (auto _ : state) {
    there.push(1);
    benchmark::DoNotOptimize(back.value_pop());
  }
  there.close();
  other.join();
  report(state, 1);
}
ROW(boost_round_trip, "Boost.Fiber: unbuffered round trip");

void boost_buffered(benchmark::State& state) {
  constexpr int each = 10'000;
  for (auto _ : state) {
    fibers::buffered_channel<int> ch(128);
    fibers::fiber sender([&] {
      for (int k = 0; k < each; ++k) ch.push(k);
    });
    fibers::fiber receiver([&] {
      for (int k = 0; k < each; ++k) benchmark::DoNotOptimize(ch.value_pop());
    });
    sender.join();
    receiver.join();
  }
  report(state, each);
}
ROW(boost_buffered, "Boost.Fiber: buffered channel, one to one");

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

void boost_ring(benchmark::State& state) {
  constexpr int size = 503;
  constexpr int passes = 100'000;
  for (auto _ : state) {
    std::vector<fibers::unbuffered_channel<int>> links(size);
    fibers::unbuffered_channel<int> over;
    std::vector<fibers::fiber> all;
    for (int i = 0; i < size; ++i) {
      all.emplace_back([&, i] {
        for (const int left : links[i]) {
          if (left == 0) {
            over.push(0);
            return;
          }
          links[(i + 1) % size].push(left - 1);
        }
      });
    }
    links[0].push(passes);
    over.value_pop();
    for (auto& link : links) link.close();
    for (auto& f : all) f.join();
  }
  report(state, passes);
}
ROW(boost_ring, "Boost.Fiber: thread ring of 503");

}  // namespace
