#include <gofer/condition_variable.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <stop_token>

#include <gofer/shared_mutex.hpp>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using ConditionVariable = test::ForCallers;
FOR_ALL_CALLERS(ConditionVariable);

TEST_P(ConditionVariable, WakesWhoWaitsForTheCondition) {
  gofer::mutex m;
  gofer::condition_variable ready;
  bool set = false;
  test::run_in(GetParam(), 6, [&](int i) {
    if (i == 5) {
      const std::scoped_lock hold(m);
      set = true;
      ready.notify_all();
    } else {
      std::unique_lock hold(m);
      ready.wait(hold, [&] { return set; });
      EXPECT_TRUE(hold.owns_lock());
    }
  });
}

TEST_P(ConditionVariable, NotifyOneWakesOneInOrder) {
  gofer::mutex m;
  gofer::condition_variable changed;
  int waiting = 0;
  int woken = 0;
  test::run_in(GetParam(), 5, [&](int i) {
    if (i < 4) {
      std::unique_lock hold(m);
      ++waiting;
      changed.wait(hold);
      ++woken;
      return;
    }
    for (int expected = 1; expected <= 4; ++expected) {
      std::unique_lock hold(m);
      while (waiting != 4) {
        hold.unlock();
        gofer::yield();
        hold.lock();
      }
      changed.notify_one();
      while (woken != expected) {
        hold.unlock();
        gofer::yield();
        hold.lock();
      }
    }
  });
  EXPECT_EQ(woken, 4);
}

TEST_P(ConditionVariable, TimedFormsGiveUp) {
  gofer::mutex m;
  gofer::condition_variable never;
  test::run_in(GetParam(), 4, [&](int) {
    std::unique_lock hold(m);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(never.wait_for(hold, 2ms), std::cv_status::timeout);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 2ms);
    EXPECT_EQ(never.wait_until(hold, std::chrono::steady_clock::now()), std::cv_status::timeout);
    EXPECT_FALSE(never.wait_for(hold, 1ms, [] { return false; }));
    EXPECT_TRUE(never.wait_until(hold, begin, [] { return true; }));
    EXPECT_TRUE(hold.owns_lock());
  });
}

TEST_P(ConditionVariable, AStopEndsTheWait) {
  gofer::mutex m;
  gofer::condition_variable never;
  std::stop_source stop;
  std::atomic<int> begun{0};
  test::run_in(GetParam(), 5, [&](int i) {
    if (i == 4) {
      while (begun < 4) gofer::yield();
      stop.request_stop();
      return;
    }
    std::unique_lock hold(m);
    ++begun;
    EXPECT_FALSE(never.wait(hold, stop.get_token(), [] { return false; }));
    EXPECT_FALSE(never.wait_for(hold, stop.get_token(), 1h, [] { return false; }));
    EXPECT_TRUE(hold.owns_lock());
  });
}

TEST_P(ConditionVariable, AnyWorksWithASharedLock) {
  gofer::shared_mutex m;
  gofer::condition_variable_any ready;
  bool set = false;
  test::run_in(GetParam(), 4, [&](int i) {
    if (i == 3) {
      const std::scoped_lock hold(m);
      set = true;
      ready.notify_all();
    } else {
      std::shared_lock hold(m);
      ready.wait(hold, [&] { return set; });
    }
  });
}

TEST(ConditionVariableErrors, WaitingWithoutTheLockThrowsAndLeavesNothingBehind) {
  gofer::mutex m;
  gofer::condition_variable ready;
  std::unique_lock lock(m, std::defer_lock);
  EXPECT_THROW(ready.wait(lock), std::system_error);
  EXPECT_THROW(ready.wait_for(lock, 1ms), std::system_error);
  EXPECT_FALSE(lock.owns_lock());
  EXPECT_TRUE(m.try_lock());
  m.unlock();
  ready.notify_all();
}

TEST_P(ConditionVariable, StressABoundedQueueLosesNothing) {
  gofer::mutex m;
  gofer::condition_variable filled;
  gofer::condition_variable emptied;
  std::deque<int> queue;
  std::atomic<long> sum{0};
  const int each = test::times(4000);
  test::run_in(GetParam(), 8, [&](int i) {
    for (int k = 1; k <= each; ++k) {
      std::unique_lock hold(m);
      if (i % 2 == 0) {
        emptied.wait(hold, [&] { return queue.size() < 3; });
        queue.push_back(k);
        filled.notify_one();
      } else {
        while (!filled.wait_for(hold, 50us, [&] { return !queue.empty(); })) {
        }
        sum += queue.front();
        queue.pop_front();
        emptied.notify_one();
      }
    }
  });
  EXPECT_EQ(sum, 4L * each * (each + 1) / 2);
}

// The waiter may destroy the variable as soon as it has been notified.
TEST_P(ConditionVariable, StressDestructionByTheNotifiedWaiter) {
  test::run_in(GetParam(), 2, [&](int) {
    for (int i = 0; i < test::times(1000); ++i) {
      struct shared {
        gofer::mutex m;
        gofer::condition_variable ready;
        bool set = false;
      };
      std::optional<shared> s(std::in_place);
      gofer::go([&] {
        const std::scoped_lock hold(s->m);
        s->set = true;
        s->ready.notify_one();
      });
      {
        std::unique_lock hold(s->m);
        s->ready.wait(hold, [&] { return s->set; });
      }
      s.reset();
    }
  });
}

}  // namespace
