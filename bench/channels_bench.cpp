#include <array>
#include <chrono>
#include <optional>

#include <gofer/gofer.hpp>

#include "row.hpp"

namespace {

void round_trip(benchmark::State& state) {
  gofer::run([&] {
    gofer::chan<int> there;
    gofer::chan<int> back;
    gofer::go([=]() mutable {
      for (const int v : there) back.send(v);
    });
    for (auto _ : state) {
      there.send(1);
      benchmark::DoNotOptimize(back.receive());
    }
    there.close();
  });
  report(state, 1);
}
ROW(round_trip, "unbuffered round trip");

/// `pairs` senders and as many receivers on one channel with room for 100.
void buffered(benchmark::State& state, int pairs) {
  constexpr int each = 10'000;
  gofer::run([&] {
    for (auto _ : state) {
      gofer::chan<int> ch(100);
      gofer::wait_group fibers;
      for (int i = 0; i < pairs; ++i) {
        fibers.go([=]() mutable {
          for (int k = 0; k < each; ++k) ch.send(k);
        });
        fibers.go([=]() mutable {
          for (int k = 0; k < each; ++k) benchmark::DoNotOptimize(ch.receive());
        });
      }
      fibers.wait();
    }
  });
  report(state, pairs * each);
}
BENCHMARK_CAPTURE(buffered, one, 1)->Name("buffered channel, one to one")->UseRealTime();
BENCHMARK_CAPTURE(buffered, four, 4)->Name("buffered channel, 4 to 4")->UseRealTime();

void select_over_two(benchmark::State& state) {
  gofer::run([&] {
    gofer::chan<int> a(1);
    gofer::chan<int> b(1);
    for (auto _ : state) {
      a.send(1);
      benchmark::DoNotOptimize(gofer::select(gofer::on_receive(a), gofer::on_receive(b)));
    }
  });
  report(state, 1);
}
ROW(select_over_two, "select over two");

void select_over_eight(benchmark::State& state) {
  gofer::run([&] {
    std::array<gofer::chan<int>, 8> all;
    for (auto& ch : all) ch = gofer::chan<int>(1);
    for (std::size_t k = 0; auto _ : state) {
      all[k++ % 8].send(1);
      benchmark::DoNotOptimize(gofer::select(
          gofer::on_receive(all[0]), gofer::on_receive(all[1]), gofer::on_receive(all[2]), gofer::on_receive(all[3]),
          gofer::on_receive(all[4]), gofer::on_receive(all[5]), gofer::on_receive(all[6]), gofer::on_receive(all[7])));
    }
  });
  report(state, 1);
}
ROW(select_over_eight, "select over eight");

/// A round trip in which both sides wait with a limit that is never reached.
void select_with_timeout(benchmark::State& state) {
  gofer::run([&] {
    gofer::chan<int> there;
    gofer::chan<int> back;
    const auto receive = [](const gofer::chan<int>& from) {
      bool open = false;
      gofer::select(gofer::on_receive(from, [&](std::optional<int> v) { open = v.has_value(); }),
                    gofer::on_timeout(std::chrono::seconds(10)));
      return open;
    };
    gofer::go([=] {
      while (receive(there)) back.send(1);
    });
    for (auto _ : state) {
      there.send(1);
      receive(back);
    }
    there.close();
  });
  report(state, 1);
}
ROW(select_with_timeout, "round trip, select with a timeout");

/// What a thousand tickers of 10 ms cost in a second: a hundred thousand ticks.
void tickers(benchmark::State& state) {
  for (auto _ : state) {
    const double before = cpu_seconds();
    gofer::run([] {
      gofer::wait_group all;
      for (int i = 0; i < 1000; ++i) {
        all.go([] {
          const gofer::ticker t(std::chrono::milliseconds(10));
          const auto ticks = t.ticks();
          for (int k = 0; k < 100; ++k) (void)ticks.receive();
        });
      }
      all.wait();
    });
    state.counters["cpu_s"] = cpu_seconds() - before;
  }
}
BENCHMARK(tickers)->Name("a thousand tickers for a second")->Iterations(1)->UseRealTime();

}  // namespace
