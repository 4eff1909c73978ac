#include <gofer/atomic_counter.hpp>
#include <gofer/sharded.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "support/callers.hpp"

namespace {

using Counters = test::ForCallers;
FOR_ALL_CALLERS(Counters);

TEST(AtomicCounter, ReturnsTheNewValue) {
  gofer::atomic_counter c;
  EXPECT_EQ(c.increment(), 1);
  EXPECT_EQ(c.add(5), 6);
  EXPECT_EQ(c.decrement(), 5);
  EXPECT_EQ(c.exchange(10), 5);
  std::int64_t expected = 9;
  EXPECT_FALSE(c.compare_exchange(expected, 11));
  EXPECT_EQ(expected, 10);
  EXPECT_TRUE(c.compare_exchange(expected, INT64_MAX));
  EXPECT_EQ(c.increment(), INT64_MIN) << "wraps around";
}

TEST_P(Counters, AtomicCounterLosesNothing) {
  gofer::atomic_counter c;
  const int each = test::times(20'000);
  test::run_in(GetParam(), 8, [&](int) {
    for (int i = 0; i < each; ++i) c.increment();
  });
  EXPECT_EQ(c.load(), 8LL * each);
}

TEST_P(Counters, ShardedCounterLosesNothing) {
  gofer::sharded_counter c;
  const int each = test::times(20'000);
  test::run_in(GetParam(), 8, [&](int i) {
    for (int k = 0; k < each; ++k) {
      c.add(3);
      if (k % 100 == i) gofer::yield();
      c.decrement();
    }
  });
  EXPECT_EQ(c.load(), 16LL * each);
}

TEST_P(Counters, ShardedCounterExchangesNeitherLoseNorDouble) {
  gofer::sharded_counter c;
  std::atomic<std::int64_t> taken{0};
  const int each = test::times(20'000);
  test::run_in(GetParam(), 6, [&](int i) {
    for (int k = 0; k < each; ++k) {
      if (i < 4) {
        c.increment();
      } else if (k % 64 == 0) {
        taken += c.exchange(0);
      }
    }
  });
  EXPECT_EQ(taken + c.load(), 4LL * each);
}

// An exchange takes what was counted: whoever has not seen that counted must not see it taken.
TEST_P(Counters, ShardedCounterNeverTakesMoreThanWasThere) {
  gofer::sharded_counter c;
  const int each = test::times(20'000);
  test::run_in(GetParam(), 6, [&](int i) {
    for (int k = 0; k < each; ++k) {
      if (i % 2 == 0) {
        EXPECT_GE(c.load(), 0);
      } else {
        c.increment();
        EXPECT_GE(c.exchange(0), 0);
      }
      if (k % 100 == 0) gofer::yield();
    }
  });
}

struct pair {
  std::int64_t first = 0, second = 0;
};

TEST_P(Counters, AFoldSeesWholeUpdates) {
  gofer::sharded<pair> stats;
  const int each = test::times(5000);
  test::run_in(GetParam(), 6, [&](int i) {
    for (int k = 0; k < each; ++k) {
      if (i < 4) {
        stats.local([](pair& p) {
          ++p.first;
          ++p.second;
        });
      } else if (k % 16 == 0) {
        stats.fold(0, [](int, const pair& p) {
          EXPECT_EQ(p.first, p.second);
          return 0;
        });
      }
    }
  });
  EXPECT_EQ(stats.fold(std::int64_t{0}, [](std::int64_t sum, const pair& p) { return sum + p.first; }), 4LL * each);
}

// What begins on one thread and ends on another is never seen to end without having begun.
TEST_P(Counters, AFoldIsOneMomentOfAllThreads) {
  gofer::sharded<pair> stats;  // begun, ended
  const int each = test::times(5000);
  test::run_in(GetParam(), 6, [&](int i) {
    for (int k = 0; k < each; ++k) {
      if (i < 4) {
        stats.local([](pair& p) { ++p.first; });
        if (k % 4 == 0) gofer::yield();  // a fiber may go on elsewhere
        stats.local([](pair& p) { ++p.second; });
      } else if (k % 16 == 0) {
        const pair sum =
            stats.fold(pair{}, [](pair a, const pair& b) { return pair{a.first + b.first, a.second + b.second}; });
        EXPECT_GE(sum.first, sum.second);
        EXPECT_LE(sum.first - sum.second, 4);
      }
    }
  });
}

TEST(Sharded, HoldsTypesThatOwnMemory) {
  gofer::sharded<std::string> words;
  test::run_in(test::callers::threads, 4,
               [&](int i) { words.local([&](std::string& s) { s += std::string(50, static_cast<char>('a' + i)); }); });
  EXPECT_EQ(words.fold(std::size_t{0}, [](std::size_t n, const std::string& s) { return n + s.size(); }), 200U);
}

TEST(Sharded, AnExceptionLeavesItUsable) {
  gofer::sharded<pair> stats;
  EXPECT_THROW(stats.local([](pair& p) {
    ++p.first;
    throw std::runtime_error("x");
  }),
               std::runtime_error);
  EXPECT_EQ(stats.fold(std::int64_t{0}, [](std::int64_t n, const pair& p) { return n + p.first; }), 1);
}

}  // namespace
