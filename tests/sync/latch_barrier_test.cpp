#include <gofer/barrier.hpp>
#include <gofer/latch.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <stop_token>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using Latch = test::ForCallers;
FOR_ALL_CALLERS(Latch);

TEST_P(Latch, OpensWhenCountedDown) {
  gofer::latch l(5);
  std::atomic<int> arrived{0};
  test::run_in(GetParam(), 5, [&](int) {
    ++arrived;
    l.arrive_and_wait();
    EXPECT_EQ(arrived, 5);
  });
  EXPECT_TRUE(l.try_wait());
}

TEST_P(Latch, GivesUpAtTheDeadlineOrOnAStop) {
  gofer::latch l(1);
  test::run_in(GetParam(), 3, [&](int) {
    EXPECT_FALSE(l.try_wait());
    EXPECT_FALSE(l.wait_for(1ms));
    std::stop_source stop;
    stop.request_stop();
    EXPECT_FALSE(l.wait(stop.get_token()));
  });
}

TEST(LatchErrors, CountingBelowZeroThrows) {
  gofer::latch l(1);
  EXPECT_THROW(l.count_down(2), std::logic_error);
  EXPECT_THROW(l.count_down(-1), std::logic_error);
  EXPECT_THROW(gofer::latch(-1), std::logic_error);
  EXPECT_THROW(gofer::latch(PTRDIFF_MAX), std::logic_error);
  EXPECT_FALSE(gofer::latch(gofer::latch::max()).try_wait());
  l.count_down();
  l.wait();
}

TEST_P(Latch, StressDestructionAfterTheWait) {
  test::run_in(GetParam(), 3, [&](int) {
    for (int i = 0; i < test::times(1000); ++i) {
      std::optional<gofer::latch> l(std::in_place, 2);
      gofer::go([&] { l->count_down(); });
      gofer::go([&] { l->count_down(); });
      l->wait();
      l.reset();
    }
  });
}

TEST_P(Latch, BarrierRunsItsCompletionOnceAPhase) {
  int phases = 0;
  const int rounds = test::times(500);
  auto count = [&]() noexcept { ++phases; };
  gofer::barrier all(6, count);
  test::run_in(GetParam(), 6, [&](int) {
    for (int i = 1; i <= rounds; ++i) {
      all.arrive_and_wait();
      EXPECT_GE(phases, i);
      all.arrive_and_wait();
    }
  });
  EXPECT_EQ(phases, 2 * rounds);
}

TEST_P(Latch, BarrierWaitsForAWhile) {
  gofer::barrier meeting(2);
  std::stop_source stop;
  stop.request_stop();
  test::run_in(GetParam(), 1, [&](int) {
    const auto arrived = meeting.arrive();
    EXPECT_FALSE(meeting.wait_for(arrived, 1ms));
    EXPECT_FALSE(meeting.wait_until(arrived, std::chrono::steady_clock::now()));
    EXPECT_FALSE(meeting.wait(arrived, stop.get_token()));
    (void)meeting.arrive();  // the other one
    EXPECT_TRUE(meeting.wait_for(arrived, 0ms));
    EXPECT_TRUE(meeting.wait(arrived, std::stop_source().get_token()));
  });
}

TEST(BarrierErrors, MoreThanAreExpectedThrowAndChangeNothing) {
  EXPECT_THROW(gofer::barrier<>(-1), std::logic_error);
  EXPECT_THROW(gofer::barrier<>(gofer::barrier<>::max() + 1), std::logic_error);
  gofer::barrier two(2);
  EXPECT_THROW((void)two.arrive(3), std::logic_error);
  EXPECT_THROW((void)two.arrive(0), std::logic_error);
  EXPECT_THROW((void)two.arrive(-1), std::logic_error);
  const auto arrived = two.arrive(2);
  EXPECT_TRUE(two.wait_for(arrived, 0ms));
  two.arrive_and_drop();
  two.arrive_and_drop();
  EXPECT_THROW((void)two.arrive(), std::logic_error);  // nobody takes part any more
  EXPECT_THROW(two.arrive_and_drop(), std::logic_error);
  EXPECT_THROW(two.arrive_and_wait(), std::logic_error);
}

TEST(BarrierErrors, WhatACompletionThrowsLeavesTheLastToArriveAndEndsThePhase) {
  int phases = 0;
  gofer::barrier two(2, [&] {
    if (++phases == 1) throw std::runtime_error("x");
  });
  const auto first = two.arrive();
  EXPECT_THROW(two.arrive_and_wait(), std::runtime_error);
  EXPECT_TRUE(two.wait_for(first, 0ms));
  const auto second = two.arrive(2);
  EXPECT_TRUE(two.wait_for(second, 0ms));
  EXPECT_EQ(phases, 2);
}

TEST_P(Latch, StressBarriersWithParticipantsThatGiveUpAndDrop) {
  constexpr int participants = 6;
  const int rounds = test::times(300);
  std::atomic<int> completions{0};
  gofer::barrier all(participants, [&] { ++completions; });
  test::run_in(GetParam(), participants, [&](int i) {
    for (int k = 0; k < rounds; ++k) {
      if (i == k % participants && k >= rounds - i) return all.arrive_and_drop();
      const auto token = all.arrive();
      while (!all.wait_for(token, std::chrono::microseconds(i * 10))) {
      }
      EXPECT_GE(completions, k + 1);
      EXPECT_LE(completions, k + 2);
    }
    all.arrive_and_drop();
  });
  EXPECT_EQ(completions, rounds + 1);
}

TEST_P(Latch, BarrierGoesOnWithoutThoseThatDropped) {
  gofer::barrier all(4);
  test::run_in(GetParam(), 4, [&](int i) {
    for (int k = 0; k < 10; ++k) {
      if (i == 0 && k == 5) return all.arrive_and_drop();
      all.arrive_and_wait();
    }
  });
}

}  // namespace
