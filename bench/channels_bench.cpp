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

}  // namespace
