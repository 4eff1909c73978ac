#include "sched/timer_heap.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

namespace {

using gofer::sched::timer_entry;
using gofer::sched::timer_heap;

struct noting : timer_entry {
  explicit noting(std::vector<int>& l, int n) : timer_entry(&note), log(&l), number(n) {}
  static action note(timer_entry& e) noexcept {
    auto& self = static_cast<noting&>(e);
    return {.run = [](void* p) noexcept { static_cast<noting*>(p)->log->push_back(static_cast<noting*>(p)->number); },
            .argument = &self};
  }
  std::vector<int>* log;
  int number;
};

TEST(TimerHeap, ExpiresInOrderAndNotBeforeTime) {
  timer_heap heap;
  std::vector<int> log;
  noting a(log, 1), b(log, 2), c(log, 3);
  EXPECT_EQ(heap.earliest(), timer_heap::never);
  EXPECT_TRUE(heap.add(b, 20));
  EXPECT_FALSE(heap.add(c, 30));
  EXPECT_TRUE(heap.add(a, 10));
  EXPECT_EQ(heap.earliest(), 10);
  EXPECT_EQ(heap.expire(9), 0U);
  EXPECT_EQ(heap.expire(25), 2U);
  EXPECT_EQ(log, (std::vector<int>{1, 2}));
  EXPECT_EQ(heap.expire(30), 1U);
  EXPECT_EQ(heap.earliest(), timer_heap::never);
}

TEST(TimerHeap, CancelTakesOut) {
  timer_heap heap;
  std::vector<int> log;
  noting a(log, 1), b(log, 2);
  heap.add(a, 10);
  heap.add(b, 20);
  EXPECT_TRUE(timer_heap::cancel(a));
  EXPECT_FALSE(timer_heap::cancel(a));
  EXPECT_EQ(heap.earliest(), 20);
  EXPECT_EQ(heap.expire(100), 1U);
  EXPECT_FALSE(timer_heap::cancel(b));
  EXPECT_EQ(log, std::vector<int>{2});
}

TEST(TimerHeap, AgreesWithASortedListUnderRandomUse) {
  std::mt19937 random(7);
  timer_heap heap;
  std::vector<int> log;
  std::deque<noting> entries;
  std::vector<std::pair<std::int64_t, int>> expected;
  for (int i = 0; i < 5000; ++i) {
    const auto when = static_cast<std::int64_t>(random() % 1000);
    heap.add(entries.emplace_back(log, i), when);
    expected.emplace_back(when, i);
    if (i % 3 == 0) {
      const auto victim = random() % expected.size();
      EXPECT_TRUE(timer_heap::cancel(entries[static_cast<std::size_t>(expected[victim].second)]));
      expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(victim));
    }
  }
  std::sort(expected.begin(), expected.end());
  for (std::int64_t time = 0; time < 1000; ++time) {
    log.clear();
    heap.expire(time);
    std::sort(log.begin(), log.end());
    std::vector<int> due;
    while (!expected.empty() && expected.front().first <= time) {
      due.push_back(expected.front().second);
      expected.erase(expected.begin());
    }
    ASSERT_EQ(log, due) << "at " << time;
  }
}

}  // namespace
