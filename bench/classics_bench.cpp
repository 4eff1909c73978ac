// The programs by which schedulers have been compared for long: skynet, thread ring, chameneos-redux, fib, and the four
// of Tokio's scheduler.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <vector>

#include <gofer/gofer.hpp>

#include "row.hpp"

namespace {

using std::chrono::steady_clock;

/// Does f() once as a fiber; the row is how long that took.
template <class F>
void timed(benchmark::State& state, F f) {
  for (auto _ : state) {
    const auto before = steady_clock::now();
    gofer::run(f);
    state.counters["s"] = std::chrono::duration<double>(steady_clock::now() - before).count();
  }
}

void skynet(const gofer::chan<std::int64_t>& result, std::int64_t number, std::int64_t size) {
  if (size == 1) {
    result.send(number);
    return;
  }
  const gofer::chan<std::int64_t> children;
  for (int i = 0; i < 10; ++i) {
    gofer::go([=] { skynet(children, number + i * (size / 10), size / 10); });
  }
  std::int64_t sum = 0;
  for (int i = 0; i < 10; ++i) sum += children.receive().value();
  result.send(sum);
}

void skynet_of_a_million(benchmark::State& state) {
  timed(state, [&] {
    const gofer::chan<std::int64_t> result;
    gofer::go([=] { skynet(result, 0, 1'000'000); });
    if (result.receive() != 499'999'500'000) state.SkipWithError("a wrong sum");
  });
}
BENCHMARK(skynet_of_a_million)->Name("skynet, a million leaves")->Iterations(1)->UseRealTime();

int fib(int n) {
  if (n < 2) return n;
  int first = 0;
  gofer::wait_group child;
  child.go([&] { first = fib(n - 1); });
  const int second = fib(n - 2);
  child.wait();
  return first + second;
}

void fib_of_30(benchmark::State& state) {
  timed(state, [&] {
    if (fib(30) != 832'040) state.SkipWithError("a wrong number");
  });
}
BENCHMARK(fib_of_30)->Name("fib of 30, a fiber a call")->Iterations(1)->UseRealTime();

void thread_ring(benchmark::State& state) {
  constexpr int size = 503;
  constexpr int passes = 100'000;
  gofer::run([&] {
    for (auto _ : state) {
      std::vector<gofer::chan<int>> links(size);
      const gofer::chan<int> over;
      for (int i = 0; i < size; ++i) {
        gofer::go([&, from = links[i], to = links[(i + 1) % size]] {
          for (const int left : from) {
            if (left == 0) return over.send(0);
            to.send(left - 1);
          }
        });
      }
      links[0].send(passes);
      over.receive();
      for (auto& link : links) link.close();
    }
  });
  report(state, passes);
}
ROW(thread_ring, "thread ring of 503");

/// Where two meet; the first waits for the second.
class meeting_place {
 public:
  explicit meeting_place(int meetings) : left_(meetings) {}

  /// The other's colour, or -1 if there are no more meetings.
  int meet(int colour) {
    std::unique_lock hold(lock_);
    if (left_ == 0) return -1;
    if (first_ == nullptr) {
      visitor self{.colour = colour, .met = {}};
      first_ = &self;
      self.met.wait(hold, [&] { return self.other >= 0; });
      return self.other;
    }
    visitor& first = *first_;
    first_ = nullptr;
    --left_;
    first.other = colour;
    const int other = first.colour;
    first.met.notify_one();
    return other;
  }

  /// Nobody comes any more: whoever is alone goes.
  void close() {
    const std::scoped_lock hold(lock_);
    left_ = 0;
    if (first_ != nullptr) {
      first_->other = first_->colour;
      first_->met.notify_one();
      first_ = nullptr;
    }
  }

 private:
  struct visitor {
    int colour;
    int other = -1;
    gofer::condition_variable met;
  };
  gofer::mutex lock_;
  visitor* first_ = nullptr;  // guarded by lock_
  int left_;                  // guarded by lock_
};

void chameneos(benchmark::State& state) {
  constexpr int meetings = 100'000;
  gofer::run([&] {
    for (auto _ : state) {
      meeting_place place(meetings);
      gofer::wait_group creatures;
      std::atomic<int> ended{0};
      for (const int colour : {0, 1, 2, 0, 1, 2, 0, 1, 2, 0}) {
        creatures.go([&, colour] {
          int mine = colour;
          for (;;) {
            const int other = place.meet(mine);
            if (other < 0) break;
            mine = mine == other ? mine : 3 - mine - other;
          }
          if (ended.fetch_add(1) == 0) place.close();
        });
      }
      creatures.wait();
    }
  });
  report(state, meetings);
}
ROW(chameneos, "chameneos, 10 creatures");

void spawn_many(benchmark::State& state) {
  constexpr int count = 10'000;
  gofer::run([&] {
    for (auto _ : state) {
      std::atomic<int> left{count};
      const gofer::chan<int> over(1);
      for (int i = 0; i < count; ++i) {
        gofer::go([&left, over] {
          if (left.fetch_sub(1) == 1) over.send(0);
        });
      }
      over.receive();
    }
  });
  report(state, count);
}
ROW(spawn_many, "Tokio's spawn many");

void yield_many(benchmark::State& state) {
  constexpr int tasks = 200;
  constexpr int yields = 1'000;
  gofer::run([&] {
    for (auto _ : state) {
      const gofer::chan<int> over(tasks);
      for (int i = 0; i < tasks; ++i) {
        gofer::go([over] {
          for (int k = 0; k < yields; ++k) gofer::yield();
          over.send(0);
        });
      }
      for (int i = 0; i < tasks; ++i) over.receive();
    }
  });
  report(state, std::int64_t{tasks} * yields);
}
ROW(yield_many, "Tokio's yield many");

void ping_pong(benchmark::State& state) {
  constexpr int pairs = 1'000;
  gofer::run([&] {
    for (auto _ : state) {
      std::atomic<int> left{pairs};
      const gofer::chan<int> over(1);
      for (int i = 0; i < pairs; ++i) {
        gofer::go([&left, over] {
          const gofer::chan<int> there(1);
          const gofer::chan<int> back(1);
          gofer::go([there, back] { back.send(there.receive().value()); });
          there.send(1);
          back.receive();
          if (left.fetch_sub(1) == 1) over.send(0);
        });
      }
      over.receive();
    }
  });
  report(state, pairs);
}
ROW(ping_pong, "Tokio's ping pong");

void spawn_next(const gofer::chan<int>& over, int left) {
  if (left == 0) return over.send(0);
  gofer::go([over, left] { spawn_next(over, left - 1); });
}

void chained_spawn(benchmark::State& state) {
  constexpr int links = 1'000;
  gofer::run([&] {
    const gofer::chan<int> over(1);
    for (auto _ : state) {
      gofer::go([over] { spawn_next(over, links); });
      over.receive();
    }
  });
  report(state, links);
}
ROW(chained_spawn, "Tokio's chained spawn");

}  // namespace
