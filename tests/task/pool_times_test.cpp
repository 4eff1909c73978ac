#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>

#include <gofer/latch.hpp>
#include <gofer/time.hpp>
#include <gofer/worker_pool.hpp>

namespace {

using namespace std::chrono_literals;

constexpr auto nap = 20ms;
constexpr auto far_beyond = 2s;  // what no machine adds

int sleeping(int i) {
  gofer::sleep_for(nap);
  return i;
}

/// Tasks of which the first begins only when all have been submitted.
class gate {
 public:
  int pass(int i) {
    if (i == 0) {
      reached_.count_down();
      open_.wait();
    }
    return sleeping(i);
  }
  void wait_until_reached() { reached_.wait(); }
  void open() { open_.count_down(); }

 private:
  gofer::latch reached_{1};
  gofer::latch open_{1};
};

TEST(WorkerPoolTimes, SayHowLongATaskWaitedAndRan) {
  gate all_there;
  gofer::worker_pool<int, int> pool([&](int i) { return all_there.pass(i); }, {.min_workers = 1, .timed = true});
  for (int i = 0; i < 3; ++i) pool.submit(i);
  all_there.open();
  pool.drain();
  for (auto& r : pool.results()) {
    EXPECT_GE(r.ran, nap);
    EXPECT_LT(r.ran, far_beyond);
    EXPECT_GE(r.waited, (r.id - 1) * nap) << "behind those before it";
    EXPECT_LT(r.waited, far_beyond);
  }
}

TEST(WorkerPoolTimes, AreNotTakenUnlessAskedFor) {
  gofer::worker_pool<int, int> pool(sleeping, {.min_workers = 1});
  pool.submit(0);
  pool.drain();
  for (auto& r : pool.results()) {
    EXPECT_EQ(r.ran, 0ns);
    EXPECT_EQ(r.waited, 0ns);
  }
}

TEST(WorkerPoolTimes, AreTakenOfWhatTheCallerRuns) {
  gate full;
  gofer::worker_pool<int, int> pool(
      [&](int i) { return full.pass(i); },
      {.min_workers = 1, .queue_capacity = 1, .when_full = gofer::overflow::caller_runs, .timed = true});
  pool.submit(0);
  full.wait_until_reached();
  pool.submit(1);
  EXPECT_EQ(pool.submit(2), 3U);  // here
  const auto first = pool.results().receive();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->id, 3U);
  EXPECT_GE(first->ran, nap);
  EXPECT_LT(first->waited, far_beyond);
  full.open();
  pool.drain();
}

TEST(WorkerPoolTimes, AddUpOverAllAttempts) {
  gofer::worker_pool<int, int> pool(
      [](int i) -> int {
        gofer::sleep_for(nap);
        throw std::runtime_error(std::to_string(i));
      },
      {.max_attempts = 3, .backoff = 1ms, .timed = true});
  pool.submit(0);
  pool.drain();
  for (auto& r : pool.results()) {
    EXPECT_EQ(r.attempts, 3U);
    EXPECT_GE(r.ran, 3 * nap);
  }
}

TEST(WorkerPoolTimes, AreSummedUpInStatistics) {
  constexpr int tasks = 10;
  gate all_there;
  gofer::worker_pool<int, int> pool([&](int i) { return all_there.pass(i); }, {.min_workers = 1, .timed = true});
  for (int i = 0; i < tasks; ++i) pool.submit(i);
  all_there.open();
  pool.drain();
  const auto s = pool.stats();
  for (const auto& latency : {s.queue_latency, s.run_latency}) {
    EXPECT_EQ(latency.samples, static_cast<unsigned>(tasks));
    EXPECT_LE(latency.p50, latency.p90);
    EXPECT_LE(latency.p90, latency.p99);
    EXPECT_LT(latency.max, far_beyond);
  }
  EXPECT_GE(s.run_latency.p50, nap);
  EXPECT_GE(s.queue_latency.p50, 4 * nap) << "half of them had as many before them";
}

TEST(WorkerPoolTimes, AreSampledWhereNobodyAskedForThem) {
  gofer::worker_pool<int> pool([](int) {}, {.min_workers = 1});
  for (int i = 0; i < 640; ++i) pool.submit(i);
  pool.drain();
  EXPECT_EQ(pool.stats().run_latency.samples, 10U);
}

}  // namespace
