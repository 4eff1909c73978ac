// The same work with Boost: Context's switch, Fiber (one thread, its default), and Asio's pool of threads.

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/context/detail/fcontext.hpp>
#include <boost/fiber/all.hpp>
#include <cstddef>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "../row.hpp"

namespace {

namespace context = boost::context::detail;
namespace fibers = boost::fibers;

void other(context::transfer_t from) {
  for (;;) from = context::jump_fcontext(from.fctx, nullptr);
}

void boost_switches(benchmark::State& state) {
  constexpr std::size_t size = 64 * 1024;
  const auto stack = std::make_unique<std::byte[]>(size);
  context::fcontext_t there = context::make_fcontext(stack.get() + size, size, other);
  for (auto _ : state) there = context::jump_fcontext(there, nullptr).fctx;
  report(state, 2);
}
ROW(boost_switches, "Boost.Context: context switch");

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

constexpr int tasks = 100'000;

void asio_futures(benchmark::State& state) {
  boost::asio::thread_pool pool(4);
  std::vector<std::future<int>> all(1000);
  for (auto _ : state) {
    for (auto& one : all) {
      std::packaged_task<int()> task([] { return 1; });
      one = task.get_future();
      boost::asio::post(pool, std::move(task));
    }
    for (auto& one : all) benchmark::DoNotOptimize(one.get());
  }
  report(state, 1000);
}
ROW(asio_futures, "Asio: pool, futures");

void asio_forget(benchmark::State& state, int producers) {
  for (auto _ : state) {
    boost::asio::thread_pool pool(4);
    std::vector<std::jthread> all;
    for (int p = 0; p < producers; ++p) {
      all.emplace_back([&] {
        for (int i = 0; i < tasks / producers; ++i) boost::asio::post(pool, [i] { benchmark::DoNotOptimize(i); });
      });
    }
    all.clear();
    pool.join();
  }
  report(state, tasks);
}
BENCHMARK_CAPTURE(asio_forget, one, 1)->Name("Asio: pool, fire and forget")->UseRealTime();
BENCHMARK_CAPTURE(asio_forget, eight, 8)->Name("Asio: pool, 8 producers")->UseRealTime();

}  // namespace
