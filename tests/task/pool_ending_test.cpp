// How a pool begins and ends, and what its own tasks may not wait for.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <system_error>

#include <gofer/go.hpp>
#include <gofer/latch.hpp>
#include <gofer/runtime.hpp>
#include <gofer/time.hpp>
#include <gofer/wait_group.hpp>
#include <gofer/worker_pool.hpp>

#include "arch/stack.hpp"
#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(WorkerPoolEnd, StopDiscardsWhatWaitsAndStopsWhatRuns) {
  gofer::latch running(1);
  gofer::worker_pool<int, bool> pool(
      [&](int i, std::stop_token stop) {
        if (i == 0) running.count_down();
        return gofer::sleep_for(1h, stop);
      },
      {.min_workers = 1});
  for (int i = 0; i < 5; ++i) pool.submit(i);
  running.wait();
  pool.stop();
  pool.stop();
  int discarded = 0;
  for (auto& r : pool.results()) {
    if (r.ok()) {
      EXPECT_FALSE(r.value());
    } else {
      EXPECT_THROW(r.value(), gofer::task_discarded);
      ++discarded;
    }
  }
  EXPECT_EQ(discarded, 4);
  EXPECT_EQ(pool.stats().discarded, 4U);
  EXPECT_THROW(pool.submit(1), gofer::pool_stopped);
}

TEST(WorkerPoolEnd, DrainWithinALimitStopsWhenTimeIsUp) {
  gofer::worker_pool<int> slow([](int, std::stop_token stop) { gofer::sleep_for(1h, stop); }, {.min_workers = 1});
  slow.submit(1);
  EXPECT_FALSE(slow.drain_for(2ms));
  gofer::worker_pool<int> quick([](int) {}, {.min_workers = 1});
  quick.submit(1);
  EXPECT_TRUE(quick.drain_for(1h));
  gofer::worker_pool<int> stopped([](int, std::stop_token stop) { gofer::sleep_for(1h, stop); }, {.min_workers = 1});
  stopped.submit(1);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(stopped.drain(stop.get_token()));
}

/// All that waits for a pool.
void expect_waits_to_be_refused(auto& pool) {
  EXPECT_TRUE(pool.called_in_task());
  EXPECT_THROW(pool.drain(), std::logic_error);
  EXPECT_THROW(pool.drain_for(1ms), std::logic_error);
  EXPECT_THROW(pool.drain(std::stop_token()), std::logic_error);
  EXPECT_THROW(pool.stop(), std::logic_error);
  EXPECT_THROW(pool.wait_idle(), std::logic_error);
  EXPECT_THROW(pool.wait_idle_for(1ms), std::logic_error);
  EXPECT_THROW(pool.wait_idle(std::stop_token()), std::logic_error);
}

TEST(WorkerPoolEnd, WaitingForThePoolInItsOwnTaskIsRefused) {
  gofer::worker_pool<> pool({.min_workers = 1});
  pool.submit([&] { expect_waits_to_be_refused(pool); }).get();
  EXPECT_FALSE(pool.called_in_task());
}

TEST(WorkerPoolEnd, SoItIsInATaskThatItsSubmitterRuns) {
  gofer::latch go_on(1);
  gofer::worker_pool<> outer({.min_workers = 1});
  gofer::worker_pool<> inner({.min_workers = 1, .queue_capacity = 1, .when_full = gofer::overflow::caller_runs});
  inner.submit([&] { go_on.wait(); });
  while (inner.stats().busy == 0) gofer::yield();
  inner.submit([] {});
  const auto by_the_outer_one = [&] {
    bool ran = false;
    inner.submit([&] {  // runs here
      expect_waits_to_be_refused(inner);
      expect_waits_to_be_refused(outer);
      EXPECT_EQ(gofer::this_worker::number(), 0U);
      ran = true;
    });
    EXPECT_TRUE(ran);
    EXPECT_EQ(gofer::this_worker::number(), 1U);
    EXPECT_FALSE(inner.called_in_task());
  };
  outer.submit(by_the_outer_one).get();
  inner.submit([&] { expect_waits_to_be_refused(inner); });  // in the test's thread
  EXPECT_FALSE(inner.called_in_task());
  go_on.count_down();
}

TEST(WorkerPoolEnd, AndInItsObserver) {
  std::atomic<int> asked{0};
  std::unique_ptr<gofer::worker_pool<>> pool;
  const auto ask = [&](std::size_t, std::size_t) {
    expect_waits_to_be_refused(*pool);
    ++asked;
  };
  pool = std::make_unique<gofer::worker_pool<>>(
      gofer::worker_pool_options{.min_workers = 1, .idle_timeout = 1ms, .on_scale = ask});
  pool->resize(3, 3);
  EXPECT_EQ(asked, 2);
  pool->resize(1, 3);
  while (asked != 4) gofer::sleep_for(100us);
}

TEST(WorkerPoolEndDeathTest, AtTheHandsOfItsOwnTaskEndsTheProgram) {
  EXPECT_DEATH(
      {
        auto pool = std::make_unique<gofer::worker_pool<>>(gofer::worker_pool_options{.name = "own"});
        pool->submit([&] { pool.reset(); }).get();
      },
      "worker_pool \"own\": stop was called in a task of the same pool, and would wait for that task");
}

/// A task that is run by who submitted it would wait for its own result.
TEST(OrderedPoolEnd, ATaskOfItsSubmitterThatWaitsForRoomIsRefused) {
  gofer::latch go_on(1);
  gofer::worker_pool<int, int>* self = nullptr;
  bool refused = false;
  gofer::worker_pool<int, int> pool(
      [&](int i) {
        if (i == 0) go_on.wait();
        if (i != 2) return i;
        go_on.count_down();
        try {
          for (;;) self->submit(1);
        } catch (const gofer::queue_full& e) {
          EXPECT_THAT(e.what(), HasSubstr("as they come in order"));
          refused = true;
        }
        return i;
      },
      {.min_workers = 1,
       .queue_capacity = 1,
       .result_capacity = 1,
       .when_full = gofer::overflow::caller_runs,
       .ordered = true});
  self = &pool;
  pool.submit(0);
  while (pool.stats().busy == 0) gofer::yield();
  pool.submit(1);
  pool.submit(2);  // runs here
  EXPECT_TRUE(refused);
}

TEST(WorkerPoolEnd, WhoReceivesTheLastResultMayDestroyIt) {
  for (int i = 0; i < test::times(300); ++i) {
    gofer::worker_pool<int, int> pool([](int k) { return k; }, {.min_workers = 2});
    gofer::go([&] {
      pool.submit(1);
      pool.drain();
    });
    for (auto& r : pool.results()) EXPECT_TRUE(r.ok());
  }
}

/// Calls `f` in a fiber of the only processor when there are stacks for so many fibers more, and no others.
void with_stacks_left(int count, const std::function<void()>& f) {
  gofer::configure({.processors = 1, .surplus_processors = 0});  // one that stood in would keep some stacks
  gofer::arch::force_mprotect_guards(true);                      // of these there are only so many
  gofer::run([&] {
    gofer::latch first(1);
    gofer::latch go_on(1);
    gofer::wait_group few;
    gofer::wait_group others;
    for (int i = 0; i < count; ++i) few.go([&] { first.wait(); });
    const auto take_the_rest = [&] {
      for (;;) others.go([&] { go_on.wait(); });
    };
    EXPECT_THROW(take_the_rest(), std::system_error);
    first.count_down();
    few.wait();
    f();
    go_on.count_down();
    others.wait();
  });
}

TEST(WorkerPoolStart, WhereThereIsNoRoomForAllWorkersThereAreNone) {
  if (test::sanitized) GTEST_SKIP() << "the sanitizers need too much memory for this";
  NEEDS_A_NEW_RUNTIME();
  with_stacks_left(6, [] {
    for (int i = 0; i < 3; ++i) {
      EXPECT_THROW(gofer::worker_pool<>({.min_workers = 10}), std::system_error);
      const gofer::worker_pool<> small({.min_workers = 6});  // the others' stacks are free again
      EXPECT_EQ(small.stats().workers, 6U);
    }
  });
}

TEST(WorkerPoolStart, WhereThereIsNoRoomForMoreWorkersThoseThereAreDoTheWork) {
  if (test::sanitized) GTEST_SKIP() << "the sanitizers need too much memory for this";
  NEEDS_A_NEW_RUNTIME();
  with_stacks_left(4, [] {
    gofer::worker_pool<int> pool(
        [](int) { gofer::sleep_for(1ms); },
        {.min_workers = 1, .max_workers = 20, .queue_capacity = 1000, .scale_interval = 500us});
    for (int i = 0; i < 500; ++i) pool.submit(i);
    while (pool.stats().workers != 3) gofer::sleep_for(100us);  // and the fiber that would add others
    EXPECT_THROW(pool.resize(20, 20), std::system_error);
    pool.drain();
    EXPECT_EQ(pool.stats().completed, 500U);
  });
}

}  // namespace
