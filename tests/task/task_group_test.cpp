#include <gofer/task_group.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <stop_token>
#include <string>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using TaskGroup = test::ForCallers;
FOR_ALL_CALLERS(TaskGroup);

TEST_P(TaskGroup, WaitsForAll) {
  test::run_in(GetParam(), 3, [](int) {
    gofer::task_group g;
    std::atomic<int> ran{0};
    for (int i = 0; i < 50; ++i) g.go([&] { ++ran; });
    g.wait();
    EXPECT_EQ(ran, 50);
    g.go([&] { ++ran; });
    g.wait();
    EXPECT_EQ(ran, 51);
  });
}

TEST_P(TaskGroup, TheFirstExceptionStopsTheOthersAndIsRethrown) {
  test::run_in(GetParam(), 3, [](int) {
    gofer::task_group g;
    std::atomic<int> stopped{0};
    for (int i = 0; i < 5; ++i) {
      g.go([&](std::stop_token stop) {
        if (!gofer::sleep_for(1h, stop)) ++stopped;
      });
    }
    g.go([] { throw std::runtime_error("first"); });
    EXPECT_THROW(g.wait(), std::runtime_error);
    EXPECT_EQ(stopped, 5);
    EXPECT_TRUE(g.token().stop_requested());
  });
}

TEST(TaskGroupErrors, AllAreCollected) {
  gofer::task_group g;
  for (int i = 0; i < 10; ++i) {
    g.go([i] {
      if (i % 2 == 0) throw std::runtime_error(std::to_string(i));
    });
  }
  EXPECT_EQ(g.wait_all().size(), 5U);
  EXPECT_TRUE(g.wait_all().empty());
}

TEST_P(TaskGroup, KeepsItsLimit) {
  test::run_in(GetParam(), 2, [](int) {
    gofer::task_group g;
    g.limit(3);
    std::atomic<int> inside{0};
    for (int i = 0; i < 100; ++i) {
      g.go([&] {
        EXPECT_LE(++inside, 3);
        gofer::yield();
        --inside;
      });
    }
    g.wait();
    g.limit(1);
    std::atomic<bool> go_on{false};
    EXPECT_TRUE(g.try_go([&] {
      while (!go_on) gofer::sleep_for(100us);
    }));
    EXPECT_FALSE(g.try_go([] {}));
    go_on = true;
    g.wait();
  });
}

TEST(TaskGroupStop, AParentsStopAndTheDestructorReachTheTasks) {
  std::stop_source parent;
  gofer::task_group g(parent.get_token());
  g.go([](std::stop_token stop) { EXPECT_FALSE(gofer::sleep_for(1h, stop)); });
  parent.request_stop();
  g.wait();
  gofer::task_group other;
  other.go([](std::stop_token stop) { EXPECT_FALSE(gofer::sleep_for(1h, stop)); });
}

TEST_P(TaskGroup, StressTasksStartTasks) {
  test::run_in(GetParam(), 4, [](int) {
    for (int round = 0; round < test::times(100); ++round) {
      gofer::task_group g;
      std::atomic<int> ran{0};
      std::function<void(int)> grow = [&](int left) {
        ++ran;
        if (left == 0) return;
        g.go([&grow, left] { grow(left - 1); });
        g.go([&grow, left] { grow(left - 1); });
      };
      g.go([&] { grow(4); });
      g.wait();
      EXPECT_EQ(ran, 31);
    }
  });
}

}  // namespace
