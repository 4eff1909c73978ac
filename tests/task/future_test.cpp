#include <gofer/future.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>

#include <gofer/latch.hpp>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using Async = test::ForCallers;
FOR_ALL_CALLERS(Async);

TEST_P(Async, ReturnsAndRethrows) {
  test::run_in(GetParam(), 4, [](int i) {
    EXPECT_EQ(gofer::async([](int a, std::unique_ptr<int> b) { return a + *b; }, i, std::make_unique<int>(2)).get(),
              i + 2);
    EXPECT_THROW(gofer::async([] { throw std::out_of_range("x"); }).get(), std::out_of_range);
    int x = 0;
    int& same = gofer::async([&]() -> int& { return x; }).get();
    EXPECT_EQ(&same, &x);
  });
}

TEST_P(Async, WaitsForAWhile) {
  test::run_in(GetParam(), 2, [](int) {
    std::atomic<bool> go_on{false};
    auto f = gofer::async([&] {
      while (!go_on) gofer::sleep_for(100us);
      return 5;
    });
    EXPECT_EQ(f.wait_for(1ms), std::future_status::timeout);
    go_on = true;
    EXPECT_EQ(f.wait_until(std::chrono::steady_clock::now() + 1h), std::future_status::ready);
    EXPECT_TRUE(f.valid());
    EXPECT_EQ(f.get(), 5);
    EXPECT_FALSE(f.valid());
    EXPECT_THROW(f.get(), std::future_error);
  });
}

TEST_P(Async, WaitsUntilAStop) {
  test::run_in(GetParam(), 2, [&](int) {
    std::stop_source stop;
    gofer::latch go_on(1);
    auto slow = gofer::async([&] {
      go_on.wait();
      return 5;
    });
    gofer::go([stop]() mutable { stop.request_stop(); });
    EXPECT_FALSE(slow.wait(stop.get_token()));
    go_on.count_down();
    EXPECT_EQ(slow.get(), 5);
    auto quick = gofer::async([] { return 6; });
    EXPECT_TRUE(quick.wait(std::stop_source().get_token()));
    EXPECT_EQ(quick.get(), 6);
  });
}

TEST_P(Async, DestructionWaits) {
  test::run_in(GetParam(), 2, [](int) {
    std::atomic<bool> done{false};
    {
      const auto f = gofer::async([&] {
        gofer::sleep_for(2ms);
        done = true;
      });
    }
    EXPECT_TRUE(done);
  });
}

TEST_P(Async, StressManyAtOnce) {
  test::run_in(GetParam(), 4, [](int) {
    for (int i = 0; i < test::times(1000); ++i) {
      auto a = gofer::async([i] { return i; });
      auto b = gofer::async([i] { return i + 1; });
      EXPECT_EQ(a.get() + b.get(), 2 * i + 1);
    }
  });
}

}  // namespace
