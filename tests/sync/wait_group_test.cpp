#include <gofer/wait_group.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using WaitGroup = test::ForCallers;
FOR_ALL_CALLERS(WaitGroup);

TEST_P(WaitGroup, WaitReturnsOnceEveryTaskIsDone) {
  gofer::wait_group wg;
  std::atomic<int> done{0};
  wg.add(10);
  test::run_in(GetParam(), 11, [&](int i) {
    if (i == 0) {
      wg.wait();
      EXPECT_EQ(done, 10);
    } else {
      ++done;
      wg.done();
    }
  });
}

TEST_P(WaitGroup, ManyMayWait) {
  gofer::wait_group wg;
  std::atomic<bool> finished{false};
  wg.add();
  test::run_in(GetParam(), 20, [&](int i) {
    if (i == 19) {
      finished = true;
      wg.done();
    }
    wg.wait();
    EXPECT_TRUE(finished);
  });
}

TEST_P(WaitGroup, GivesUpAtTheDeadlineOrOnAStop) {
  gofer::wait_group wg;
  wg.add();
  test::run_in(GetParam(), 4, [&](int) {
    EXPECT_FALSE(wg.wait_for(1ms));
    EXPECT_FALSE(wg.wait_until(std::chrono::steady_clock::now() + 1ms));
    std::stop_source stop;
    stop.request_stop();
    EXPECT_FALSE(wg.wait(stop.get_token()));
  });
  wg.done();
  EXPECT_TRUE(wg.wait_for(0ms));
}

TEST(WaitGroupErrors, CountingBelowZeroThrowsAndChangesNothing) {
  gofer::wait_group wg;
  EXPECT_THROW(wg.done(), std::logic_error);
  wg.add(2);
  EXPECT_THROW(wg.add(-3), std::logic_error);
  wg.add(-2);
  wg.wait();
}

TEST(WaitGroupErrors, CountingTooHighThrows) {
  gofer::wait_group wg;
  EXPECT_THROW(wg.add(std::ptrdiff_t{1} << 40), std::logic_error);
  wg.wait();
}

TEST(WaitGroupGo, DestroysTheFunctionBeforeItCountsAsDone) {
  for (int i = 0; i < test::times(200); ++i) {
    auto watched = std::make_shared<int>(1);
    const std::weak_ptr<int> watch = watched;
    gofer::wait_group wg;
    wg.go([own = std::move(watched)] {});
    wg.wait();
    EXPECT_TRUE(watch.expired());
  }
}

TEST(WaitGroupGoDeathTest, AnExceptionAborts) {
  EXPECT_DEATH(
      {
        gofer::wait_group wg;
        wg.go([] { throw std::runtime_error("lost"); });
        wg.wait();
      },
      "std::runtime_error: lost");
}

// Reused at once after each wait, and destroyed at once after the last, while done() may still be returning.
TEST_P(WaitGroup, StressReuseAndDestruction) {
  test::run_in(GetParam(), 4, [&](int) {
    for (int round = 0; round < test::times(1000); ++round) {
      std::optional<gofer::wait_group> wg(std::in_place);
      int plain = 0;
      for (int reuse = 0; reuse < 3; ++reuse) {
        wg->go([&] { ++plain; });  // ordered by the wait
        wg->wait();
      }
      EXPECT_EQ(plain, 3);
      wg.reset();
    }
  });
}

TEST_P(WaitGroup, StressTasksAddTasks) {
  gofer::wait_group wg;
  std::atomic<int> ran{0};
  std::function<void(int)> grow = [&](int left) {
    ++ran;
    if (left == 0) return;
    wg.go([&grow, left] { grow(left - 1); });
    wg.go([&grow, left] { grow(left - 1); });
  };
  const int depth = test::sanitized ? 6 : 10;
  test::run_in(GetParam(), 4, [&](int) {
    wg.add();
    grow(depth);
    wg.done();
  });
  wg.wait();
  EXPECT_EQ(ran, 4 * ((1 << (depth + 1)) - 1));
}

}  // namespace
