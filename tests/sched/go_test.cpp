#include <gofer/detail/sched/thread_index.hpp>
#include <gofer/go.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <latch>
#include <memory>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <gofer/gofer.hpp>
#include <gofer/runtime.hpp>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;

TEST(Go, RunsTheFunction) {
  std::latch done(1);
  gofer::go([&] { done.count_down(); });
  done.wait();
}

TEST(Go, CopiesArgumentsAndPassesReferencesByRef) {
  std::latch done(1);
  int changed = 0;
  gofer::go(
      [&](int a, const std::string& b, int& c) {
        c = a + static_cast<int>(b.size());
        done.count_down();
      },
      40, "xx", std::ref(changed));
  done.wait();
  EXPECT_EQ(changed, 42);
}

TEST(Go, TakesMoveOnlyFunctionsAndArguments) {
  std::latch done(1);
  int seen = 0;
  gofer::go(
      [&, own = std::make_unique<int>(1)](std::unique_ptr<int> other) {
        seen = *own + *other;
        done.count_down();
      },
      std::make_unique<int>(2));
  done.wait();
  EXPECT_EQ(seen, 3);
}

TEST(Go, DestroysTheFunctionWhenItHasRun) {
  auto watched = std::make_shared<int>(7);
  const std::weak_ptr<int> watch = watched;
  gofer::run([&] {
    gofer::go([own = std::move(watched)] {});
    while (!watch.expired()) gofer::yield();
  });
}

TEST(Go, TakesClosuresOfManySizesAndAlignments) {
  struct alignas(256) wide {
    char bytes[2048];
  };
  wide w{};
  w.bytes[2047] = 9;
  EXPECT_EQ(
      gofer::run([w] { return reinterpret_cast<std::uintptr_t>(&w) % 256 + static_cast<unsigned>(w.bytes[2047]); }),
      9U);
}

TEST(Go, GivesLargerStacksWhenAsked) {
  std::latch done(1);
  gofer::go({.name = "deep", .stack_size = 8 << 20}, [&] {
    volatile char deep[4 << 20];
    for (std::size_t i = 0; i < sizeof(deep); i += 4096) deep[i] = 1;
    done.count_down();
  });
  done.wait();
}

TEST(Go, FibersAreNamedAndNumbered) {
  EXPECT_EQ(gofer::this_fiber::id(), 0U);
  EXPECT_EQ(gofer::this_fiber::name(), "");
  std::latch done(1);
  gofer::go({.name = "indexer"}, [&] {
    EXPECT_EQ(gofer::this_fiber::name(), "indexer");
    EXPECT_NE(gofer::this_fiber::id(), 0U);
    gofer::this_fiber::set_name(std::string(100, 'x'));
    EXPECT_EQ(gofer::this_fiber::name(), std::string(31, 'x'));
    done.count_down();
  });
  done.wait();
}

TEST(Go, IdsOfLivingFibersDiffer) {
  constexpr int count = 1000;
  std::vector<std::uint64_t> ids(count);
  test::run_in(test::callers::fibers, count, [&](int i) {
    ids[static_cast<std::size_t>(i)] = gofer::this_fiber::id();
    gofer::yield();
  });
  EXPECT_EQ(std::set<std::uint64_t>(ids.begin(), ids.end()).size(), static_cast<std::size_t>(count));
}

TEST(GoDeathTest, AnEscapedExceptionAbortsAndNamesFiberTypeAndMessage) {
  EXPECT_DEATH(
      {
        gofer::go({.name = "indexer"}, [] { throw std::runtime_error("disk full"); });
        std::this_thread::sleep_for(10s);
      },
      "fiber [0-9]+ \"indexer\": std::runtime_error: disk full");
}

TEST(Run, ReturnsTheResult) {
  EXPECT_EQ(gofer::run([] { return std::string("done"); }), "done");
  int x = 1;
  int& same = gofer::run([&]() -> int& { return x; });
  EXPECT_EQ(&same, &x);
}

TEST(Run, RethrowsAndNests) {
  EXPECT_THROW(gofer::run([] { gofer::run([] { throw std::out_of_range("inner"); }); }), std::out_of_range);
}

TEST(Yield, LetsOthersRun) {
  gofer::run([] {
    std::atomic<bool> ran{false};
    gofer::go([&] { ran = true; });
    while (!ran) gofer::yield();
  });
}

// A fiber that has its processor to itself and yields all the time: timers must get their turn between its yields.
TEST(Yield, OfALoneFiberLetsTimersExpire) {
  for (const unsigned spinners : {1U, gofer::processors()}) {
    std::atomic<bool> woken{false};
    std::latch done(spinners + 1);
    gofer::go([&] {
      gofer::sleep_for(2ms);
      woken = true;
      done.count_down();
    });
    for (unsigned i = 0; i < spinners; ++i) {
      gofer::go([&] {
        while (!woken) gofer::yield();
        done.count_down();
      });
    }
    done.wait();
  }
}

TEST(Sleep, LastsAtLeastAsLongAsAsked) {
  for (const auto kind : {test::callers::fibers, test::callers::threads}) {
    test::run_in(kind, 4, [](int i) {
      const auto begin = std::chrono::steady_clock::now();
      gofer::sleep_for(std::chrono::milliseconds(i * 5));
      EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(i * 5));
      const auto until = std::chrono::system_clock::now() + 3ms;
      gofer::sleep_until(until);
      EXPECT_GE(std::chrono::system_clock::now() + 1ms, until);
    });
  }
}

TEST(Sleep, OfNegativeLengthReturnsAtOnce) {
  gofer::run([] {
    gofer::sleep_for(-1h);
    gofer::sleep_until(std::chrono::steady_clock::time_point::min());
  });
}

TEST(Sleep, EndsEarlyWhenAStopIsRequested) {
  for (const auto kind : {test::callers::fibers, test::callers::threads}) {
    std::stop_source stop;
    std::latch begun(2);
    std::jthread stopper([&] {
      begun.wait();
      stop.request_stop();
    });
    test::run_in(kind, 2, [&](int) {
      begun.count_down();
      EXPECT_FALSE(gofer::sleep_for(1h, stop.get_token()));
      EXPECT_FALSE(gofer::sleep_for(1h, stop.get_token())) << "already stopped";
    });
    EXPECT_TRUE(gofer::sleep_for(1us, std::stop_token()));
  }
}

TEST(Sleep, ManySleepersWakeInTheOrderOfTheirTimes) {
  gofer::run([] {
    const auto base = std::chrono::steady_clock::now() + 20ms;
    std::atomic<int> awake{0};
    constexpr int count = 2000;
    for (int i = 0; i < count; ++i) {
      gofer::go([&, i] {
        const auto until = base + std::chrono::microseconds(i * 7 % 5000);
        gofer::sleep_until(until);
        EXPECT_GE(std::chrono::steady_clock::now(), until);
        ++awake;
      });
    }
    while (awake != count) gofer::sleep_for(1ms);
  });
}

TEST(Blocking, LetsOtherFibersRunOnTheSameProcessor) {
  // As many blocked as there are processors and more: without handing over, nobody would be left to run the other.
  std::latch release(1);
  const int blocked = static_cast<int>(gofer::processors()) + 2;
  std::latch entered(blocked);
  std::latch done(blocked);
  for (int i = 0; i < blocked; ++i) {
    gofer::go([&] {
      EXPECT_EQ(gofer::blocking([&] {
                  entered.count_down();
                  release.wait();
                  return 5;
                }),
                5);
      done.count_down();
    });
  }
  gofer::go([&] {
    gofer::blocking([&] { entered.wait(); });
    release.count_down();
  });
  done.wait();
}

TEST(Blocking, RethrowsAndWorksOnAThread) {
  EXPECT_THROW(gofer::run([] { gofer::blocking([] { throw std::runtime_error("x"); }); }), std::runtime_error);
  EXPECT_EQ(gofer::blocking([] { return 1; }), 1);
}

TEST(Blocking, MayWaitAndStartFibersInside) {
  gofer::run([] {
    gofer::blocking([] {
      std::atomic<bool> ran{false};
      gofer::go([&] { ran = true; });
      while (!ran) gofer::sleep_for(100us);
      EXPECT_EQ(gofer::run([] { return 3; }), 3);
    });
    gofer::yield();
  });
}

TEST(FiberLocal, IsOneForEachFiberAndThread) {
  static gofer::fiber_local<int> value;
  static gofer::fiber_local<std::string> text;
  *value = 1;
  test::run_in(test::callers::mixed, 100, [](int i) {
    EXPECT_EQ(*value, 0);
    EXPECT_TRUE(text->empty());
    *value = i;
    *text = std::to_string(i);
    for (int k = 0; k < 10; ++k) gofer::yield();
    EXPECT_EQ(*value, i);
    EXPECT_EQ(*text, std::to_string(i));
  });
  EXPECT_EQ(*value, 1);
}

TEST(FiberLocal, IsDestroyedWithItsFiber) {
  static std::atomic<int> alive{0};
  static std::atomic<bool> gone{false};
  struct counted {
    counted() { ++alive; }
    ~counted() {
      --alive;
      gone = true;
    }
  };
  static gofer::fiber_local<counted> value;
  const auto use = [] { (void)*value; };
  gofer::go(use);
  while (!gone) std::this_thread::yield();
  for (int round = 0; round < test::times(200); ++round) {
    gofer::run(use);
    ASSERT_EQ(alive, 0);
    gofer::wait_group some;
    for (int i = 0; i < 3; ++i) some.go(use);
    some.wait();
    ASSERT_EQ(alive, 0);
    gofer::task_group group;
    group.go(use);
    group.wait();
    ASSERT_EQ(alive, 0);
    gofer::async(use).get();
    ASSERT_EQ(alive, 0);
    {
      gofer::worker_pool<int> pool([&](int) { use(); }, {.min_workers = 2});
      for (int i = 0; i < 4; ++i) pool.submit(i);
      pool.drain();
      ASSERT_EQ(alive, 0);
    }
  }
}

TEST(FiberLocal, WhatDestructorsUseIsMadeAnewAndDestroyed) {
  static std::atomic<int> alive{0};
  struct counted {
    counted() { ++alive; }
    ~counted() { --alive; }
    int uses = 0;
  };
  static gofer::fiber_local<counted> last;
  struct uses_last {
    ~uses_last() { ++last->uses; }
  };
  static gofer::fiber_local<uses_last> first;
  const auto in_fiber_or_thread = [] {
    EXPECT_EQ(last->uses, 0) << "left over from another";
    (void)*first;
  };
  for (int i = 0; i < 50; ++i) gofer::run(in_fiber_or_thread);
  std::thread(in_fiber_or_thread).join();
  EXPECT_EQ(alive, 0);
}

/// Makes, when it is destroyed, the one that makes it.
template <int I>
struct maker {
  static inline gofer::fiber_local<maker> own;
  static inline std::set<const maker*> made;  // the last ones are never destroyed; no leak is to be seen in that
  maker() { made.insert(this); }
  ~maker() { (void)*maker<1 - I>::own; }
};

TEST(FiberLocal, ValuesThatMakeEachOtherHaveAnEnd) {
  gofer::run([] { (void)*maker<0>::own; });
}

TEST(FiberLocal, AnotherAtTheSameAddressIsAnother) {
  gofer::run([] {
    using number = gofer::fiber_local<int>;
    using text = gofer::fiber_local<std::string>;
    alignas(number) alignas(text) std::byte room[std::max(sizeof(number), sizeof(text))];
    const auto* first = new (room) number;
    **first = 7;
    first->~number();
    const auto* second = new (room) text;
    EXPECT_EQ(**second, "");
    second->~text();
  });
}

// A fiber may wait inside a catch, go on elsewhere, and still rethrow its own exception.
TEST(Exceptions, BelongToTheFiber) {
  std::atomic<int> moved{0};  // inside of a catch
  const auto throw_and_move = [&](int i) {
    for (int k = 0; k < test::times(200); ++k) {
      try {
        throw std::runtime_error(std::to_string(i));
      } catch (const std::exception&) {
        const auto before = gofer::sched::thread_index();
        gofer::yield();
        if (k % 10 == 0) gofer::sleep_for(10us);
        if (gofer::sched::thread_index() != before) ++moved;
        try {
          try {
            throw std::logic_error("inner " + std::to_string(i));
          } catch (const std::exception&) {
            gofer::yield();
            throw;
          }
        } catch (const std::logic_error& e) {
          EXPECT_EQ(e.what(), "inner " + std::to_string(i));
        }
        try {
          throw;
        } catch (const std::exception& e) {
          EXPECT_EQ(e.what(), std::to_string(i));
        }
      }
      EXPECT_EQ(std::uncaught_exceptions(), 0);
      EXPECT_EQ(std::current_exception(), nullptr);
    }
  };
  do {  // until a fiber was moved, which other programs' work may put off
    test::run_in(test::callers::fibers, 64, throw_and_move);
  } while (moved == 0 && gofer::processors() > 1);
}

TEST(Exceptions, UnwindingMayWait) {
  struct waits_at_end {
    int* seen;
    ~waits_at_end() {
      gofer::yield();
      gofer::sleep_for(1us);
      *seen = std::uncaught_exceptions();
    }
  };
  test::run_in(test::callers::fibers, 32, [](int) {
    for (int k = 0; k < test::times(200); ++k) {
      int seen = 0;
      try {
        const waits_at_end w{&seen};
        throw std::runtime_error("out");
      } catch (const std::runtime_error&) {
        EXPECT_EQ(seen, 1);
      }
    }
  });
}

TEST(GoStress, FibersStartFibers) {
  std::atomic<int> count{0};
  const int depth = test::sanitized ? 9 : 15;
  std::function<void(int)> grow = [&](int left) {
    ++count;
    if (left == 0) return;
    gofer::go([&grow, left] { grow(left - 1); });
    gofer::go([&grow, left] { grow(left - 1); });
  };
  gofer::go([&] { grow(depth); });
  while (count != (2 << depth) - 1) std::this_thread::sleep_for(1ms);
}

TEST(GoStress, ManyThreadsStartFibers) {
  std::atomic<int> count{0};
  const int each = test::times(20'000);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < each; ++i) gofer::go([&] { ++count; });
      });
    }
  }
  while (count != 4 * each) std::this_thread::sleep_for(1ms);
}

TEST(BlockingStress, ComesAndGoes) {
  std::atomic<int> sum{0};
  test::run_in(test::callers::fibers, 32, [&](int) {
    for (int i = 0; i < test::times(400); ++i) {
      gofer::blocking([&] { sum.fetch_add(1); });
      if (i % 3 == 0) gofer::yield();
      if (i % 17 == 0) gofer::sleep_for(1us);
    }
  });
  EXPECT_EQ(sum, 32 * test::times(400));
}

}  // namespace
