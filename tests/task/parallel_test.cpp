#include <gofer/parallel.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <vector>

#include <gofer/go.hpp>
#include <gofer/latch.hpp>
#include <gofer/time.hpp>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using Parallel = test::ForCallers;
FOR_ALL_CALLERS(Parallel);

TEST_P(Parallel, CallsForEveryElementOnce) {
  test::run_in(GetParam(), 3, [](int i) {
    std::vector<int> numbers(static_cast<std::size_t>(1000 * i));
    gofer::parallel_for(numbers, [](int& n) { ++n; });
    gofer::parallel_for(numbers, [](int& n) { ++n; }, {.limit = 7});
    EXPECT_EQ(std::ranges::count(numbers, 2), 1000 * i);
  });
}

TEST_P(Parallel, TransformReturnsInOrder) {
  test::run_in(GetParam(), 2, [](int) {
    const auto squares =
        gofer::transform(std::views::iota(0, 300),
                         [](int n) {
                           if (n % 7 == 0) gofer::sleep_for(std::chrono::microseconds(300 - n));
                           return std::make_unique<int>(n * n);  // need not be copied, nor made from nothing
                         },
                         {.limit = 10});
    ASSERT_EQ(squares.size(), 300U);
    for (int n = 0; n < 300; ++n) EXPECT_EQ(*squares[static_cast<std::size_t>(n)], n * n);
  });
}

TEST(ParallelLimit, IsKeptTo) {
  std::atomic<int> running{0};
  std::atomic<int> most{0};
  gofer::latch five_at_once(5);
  gofer::parallel_for(std::views::iota(0, 60),
                      [&](int i) {
                        const int now = ++running;
                        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
                        }
                        if (i < 5) five_at_once.arrive_and_wait();
                        gofer::sleep_for(200us);
                        --running;
                      },
                      {.limit = 5});
  EXPECT_EQ(most, 5);
}

TEST(ParallelErrors, TheFirstStopsTheRestAndIsRethrown) {
  std::atomic<int> begun{0};
  std::atomic<int> stopped{0};
  const auto work = [&](int n, const std::stop_token& stop) {
    ++begun;
    if (n == 3) throw std::out_of_range("three");
    if (!gofer::sleep_for(1h, stop)) ++stopped;
  };
  EXPECT_THROW(gofer::parallel_for(std::views::iota(0, 1000), work, {.limit = 4}), std::out_of_range);
  EXPECT_EQ(begun, 4);
  EXPECT_EQ(stopped, 3);
  const auto fails = [](int n) -> std::string { throw std::runtime_error(std::to_string(n)); };
  EXPECT_THROW(gofer::transform(std::views::iota(0, 10), fails), std::runtime_error);
}

TEST(ParallelStop, LeavesElementsOutAndSaysSo) {
  std::stop_source stop;
  std::atomic<int> begun{0};
  const auto work = [&](int n) {
    ++begun;
    if (n == 10) stop.request_stop();
    while (n > 10 && !stop.stop_requested()) gofer::yield();  // else it may do all the rest before the tenth goes on
  };
  try {
    gofer::parallel_for(std::views::iota(0, 1000), work, {.limit = 2, .stop = stop.get_token()});
    FAIL() << "all were begun";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_canceled);
  }
  EXPECT_GE(begun, 11);
  EXPECT_LE(begun, 12);  // the one beside it, too
  // A stop that comes after the last was begun changes nothing.
  std::stop_source late;
  gofer::parallel_for(std::views::iota(0, 1), [&](int) { late.request_stop(); }, {.stop = late.get_token()});
}

TEST(ParallelNested, FibersWaitForFibers) {
  std::atomic<int> sum{0};
  gofer::parallel_for(std::views::iota(1, 11),
                      [&](int n) { gofer::parallel_for(std::views::iota(0, n), [&](int) { ++sum; }); });
  EXPECT_EQ(sum, 55);
}

}  // namespace
