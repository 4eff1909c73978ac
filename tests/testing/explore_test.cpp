#include <gofer/testing.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gofer/gofer.hpp>

#include "support/child_output.hpp"

namespace {

using namespace std::chrono_literals;
using gofer::testing::explore;
using gofer::testing::replay;
using gofer::testing::schedule_failure;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

template <class F>
schedule_failure failure_of(F body, gofer::testing::explore_options options = {}) {
  try {
    explore(body, options);
  } catch (const schedule_failure& f) {
    return f;
  }
  throw std::logic_error("no schedule failed");
}

/// Two fibers add one to what each has read before, in a critical section of its own: a lost update.
void lose_an_update() {
  gofer::mutex m;
  int value = 0;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      m.lock();
      const int seen = value;
      m.unlock();
      m.lock();
      value = seen + 1;
      m.unlock();
    });
  }
  both.wait();
  if (value != 2) throw std::runtime_error("the value is " + std::to_string(value));
}

TEST(Explore, TriesEveryOrderOfASmallBody) {
  std::set<std::vector<int>> orders;
  const auto report = explore(
      [&] {
        gofer::mutex m;
        std::vector<int> order;
        gofer::wait_group all;
        for (int i = 0; i < 3; ++i) {
          all.go([&, i] {
            const std::scoped_lock hold(m);
            order.push_back(i);
          });
        }
        all.wait();
        orders.insert(order);
      },
      {.schedules = 50'000});
  EXPECT_EQ(orders.size(), 6U);
  EXPECT_GE(report.preemptions, 1);
  EXPECT_GT(report.distinct, report.schedules / 10);
  EXPECT_GT(report.deepest, 9U);
}

TEST(Explore, SaysThatItWasExhaustive) {
  const auto report = explore(
      [] {
        gofer::chan<int> ch;
        gofer::go([ch] { ch.send(1); });
        ASSERT_EQ(ch.receive(), 1);
      },
      {.schedules = 10'000});
  EXPECT_TRUE(report.exhaustive);
  EXPECT_LT(report.schedules, 10'000U);
}

TEST(Explore, FindsALostUpdateAndRepeatsIt) {
  const schedule_failure found = failure_of(lose_an_update);
  EXPECT_THAT(found.what(), HasSubstr("the value is 1"));
  EXPECT_THAT(found.what(), HasSubstr("mutex::unlock #"));
  EXPECT_THAT(found.what(), HasSubstr("explore_test.cpp:"));
  EXPECT_THAT(found.what(), HasSubstr("GOFER_SEED=" + std::to_string(found.seed())));
  std::string first;
  for (int i = 0; i < 20; ++i) {
    try {
      replay(found.seed(), lose_an_update);
      FAIL() << "the schedule passed";
    } catch (const schedule_failure& again) {
      const std::string steps = std::string(again.what()).substr(std::string(again.what()).find("Its steps"));
      if (first.empty()) first = steps;
      ASSERT_EQ(steps, first);
    }
  }
}

TEST(Explore, RandomSchedulesFindItToo) {
  // The search takes the first half, so what it cannot reach in its share is left to the others: here five fibers, of
  // whose 120 orders one goes wrong.
  const auto body = [] {
    gofer::mutex m;
    std::vector<int> order;
    gofer::wait_group all;
    for (int i = 0; i < 5; ++i) {
      all.go([&, i] {
        const std::scoped_lock hold(m);
        order.push_back(i);
      });
    }
    all.wait();
    if (order == std::vector{4, 3, 2, 1, 0}) throw std::runtime_error("backwards");
  };
  EXPECT_THAT(failure_of(body, {.schedules = 10'000}).what(), HasSubstr("backwards"));
}

TEST(Explore, TimeIsVirtual) {
  const auto before = std::chrono::steady_clock::now();
  explore(
      [] {
        gofer::wait_group all;
        for (int i = 1; i <= 3; ++i) all.go([i] { gofer::sleep_for(i * 24h); });
        all.wait();
      },
      {.schedules = 100});
  EXPECT_LT(std::chrono::steady_clock::now() - before, 10s);
}

TEST(Explore, WhatIsDueAtOneMomentComesInAnyOrder) {
  std::set<bool> outcomes;
  explore([&] {
    gofer::mutex m;
    m.lock();
    gofer::wait_group done;
    done.go([&] {
      const bool locked = m.try_lock_for(10ms);
      outcomes.insert(locked);
      if (locked) m.unlock();
    });
    gofer::sleep_for(10ms);
    m.unlock();
    done.wait();
    EXPECT_TRUE(m.try_lock());  // neither outcome leaves it locked
    m.unlock();
  });
  EXPECT_EQ(outcomes.size(), 2U);
}

TEST(Explore, FailsByADeadlock) {
  const auto body = [] {
    gofer::mutex m;
    const std::scoped_lock for_ever(m);
    gofer::wait_group one;
    one.go([&] { m.lock(); });
    one.wait();
  };
  const schedule_failure found = failure_of(body);
  EXPECT_THAT(found.what(), HasSubstr("deadlock"));
  EXPECT_THAT(found.what(), HasSubstr("waits in mutex::lock"));
}

TEST(Explore, FailsByAFiberLeftBehind) {
  EXPECT_THAT(failure_of([] { gofer::go([] { gofer::sleep_for(1s); }); }).what(), HasSubstr("left fibers behind"));
}

TEST(Explore, FailsByATimerLeftBehind) {
  EXPECT_THAT(failure_of([] {
                // Kept by nobody, a channel of after() ends; this one is kept for ever.
                static auto& kept = *new std::vector<gofer::receiver<std::chrono::steady_clock::time_point>>;
                kept.push_back(gofer::after(1s));
              }).what(),
              HasSubstr("left a timer behind"));
}

TEST(Explore, FailsByGoingOnForEver) {
  EXPECT_THAT(failure_of(
                  [] {
                    for (;;) gofer::yield();
                  },
                  {.max_steps = 1'000})
                  .what(),
              HasSubstr("livelock"));
}

TEST(Explore, FailsByAnExceptionOutOfAFiber) {
  const auto body = [] { gofer::go(gofer::go_options{.name = "bad"}, [] { throw std::runtime_error("no luck"); }); };
  EXPECT_THAT(failure_of(body).what(), HasSubstr("an exception left fiber 2 \"bad\": std::runtime_error: no luck"));
}

TEST(Explore, WaitsForThoseWhoOnlyYield) {
  explore(
      [] {
        std::atomic<bool> done = false;
        gofer::wait_group one;
        one.go([&] {
          gofer::sleep_for(1h);
          done = true;
        });
        while (!done) gofer::yield();
        one.wait();
      },
      {.schedules = 200});
}

TEST(Explore, IsRefusedInsideOfAFiber) {
  gofer::run([] { EXPECT_THROW(explore([] {}), std::logic_error); });
}

TEST(ExploreInAChild, RefusesPlainThreads) {
  if (test::is_child()) {
    explore([] {
      gofer::mutex m;
      std::thread([&] { m.lock(); }).join();
    });
    return;
  }
  EXPECT_THAT(test::run_again(test::this_test()).output,
              HasSubstr("was called by a plain thread while another explores"));
}

TEST(ExploreInAChild, FailsByAnAssertion) {
  if (test::is_child()) {
    const auto body = [] {
      std::atomic<int> value = 0;
      gofer::wait_group both;
      both.go([&] { value = 1; });
      both.go([&] { EXPECT_EQ(value, 1); });
      both.wait();
    };
    std::fputs(failure_of(body).what(), stderr);
    return;
  }
  EXPECT_THAT(test::run_again(test::this_test()).output,
              AllOf(HasSubstr("an assertion failed, see above"), HasSubstr("wait_group::wait"),
                    Not(HasSubstr("did not fail when it was repeated"))));
}

TEST(ExploreInAChild, AnAbortTellsTheSeed) {
  if (test::is_child()) {
    explore([] {
      gofer::mutex m;
      m.unlock();
    });
    return;
  }
  EXPECT_THAT(test::run_again(test::this_test()).output, HasSubstr("repeat it with GOFER_SEED="));
}

}  // namespace
