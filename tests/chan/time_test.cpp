#include <gofer/time.hpp>

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <vector>

#include <gofer/context.hpp>
#include <gofer/go.hpp>
#include <gofer/latch.hpp>
#include <gofer/select.hpp>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

TEST(Ticker, TicksWithoutDrift) {
  const auto begin = clock::now();
  gofer::ticker t(2ms);
  auto ticks = t.ticks();
  for (int i = 1; i <= 10; ++i) EXPECT_GE(ticks.receive().value() - begin, i * 2ms);
  t.stop();
  std::optional<clock::time_point> out;
  (void)ticks.try_receive(out);  // one may have been there already
  EXPECT_EQ(ticks.receive_for(out, 10ms), gofer::chan_status::timeout);
  t.reset(1ms);
  EXPECT_TRUE(ticks.receive().has_value());
}

TEST(Ticker, RefusesAPeriodThatIsNotPositive) {
  EXPECT_THROW(gofer::ticker(0ms), std::invalid_argument);
  EXPECT_THROW(gofer::ticker(-1ms), std::invalid_argument);
}

TEST(Timer, CallsOnceUnlessStopped) {
  gofer::latch fired(1);
  gofer::timer t(1ms, [&] { fired.count_down(); });
  fired.wait();
  EXPECT_FALSE(t.stop());
  std::atomic<int> calls{0};
  gofer::timer never(1h, [&] { ++calls; });
  EXPECT_TRUE(never.reset(2h));
  EXPECT_TRUE(never.stop());
  EXPECT_FALSE(never.stop());
  EXPECT_FALSE(never.reset(1ms));
  while (calls == 0) gofer::sleep_for(1ms);
  EXPECT_EQ(calls, 1);
}

TEST(TimerStress, StopAndResetRaceWithExpiry) {
  std::atomic<int> fired{0};
  std::atomic<int> owed{0};
  test::run_in(test::callers::mixed, 4, [&](int) {
    for (int i = 0; i < test::times(1000); ++i) {
      gofer::timer t(std::chrono::microseconds(i % 30), [&] { ++fired; });
      if (i % 2 == 0) gofer::yield();
      if (!t.stop()) ++owed;
    }
  });
  while (fired != owed) gofer::sleep_for(1ms);
}

TEST(Context, CancellingAParentCancelsItsChildren) {
  auto parent = gofer::context::background().with_cancel();
  auto child = parent.with_cancel().with_timeout(1h);
  EXPECT_FALSE(child.done());
  parent.cancel(std::make_error_code(std::errc::host_unreachable));
  EXPECT_TRUE(child.done());
  EXPECT_EQ(child.error(), std::errc::host_unreachable);
  EXPECT_TRUE(child.token().stop_requested());
  EXPECT_EQ(gofer::select(gofer::on_done(child)), 0U);
}

TEST(Context, TimesOut) {
  const auto c = gofer::context::background().with_timeout(3ms);
  EXPECT_TRUE(c.deadline().has_value());
  EXPECT_EQ(gofer::select(gofer::on_done(c)), 0U);
  EXPECT_EQ(c.error(), std::errc::timed_out);
}

TEST(Context, CarriesValues) {
  static const gofer::context_key<int> number;
  static const gofer::context_key<std::string> text;
  const auto root = gofer::context::background();
  const auto c = root.with_value(number, 5).with_cancel().with_value(text, std::string("x"));
  EXPECT_EQ(*c.value(number), 5);
  EXPECT_EQ(*c.value(text), "x");
  EXPECT_EQ(root.value(number), nullptr);
  EXPECT_EQ(*c.with_value(number, 6).value(number), 6);
}

TEST(ContextStress, CancellationRacesWithShortLivedChildren) {
  for (int round = 0; round < test::times(100); ++round) {
    auto parent = gofer::context::background().with_cancel();
    test::run_in(test::callers::mixed, 4, [&](int i) {
      if (i == 3) return gofer::context(parent).cancel();
      for (int k = 0; k < 50; ++k) {
        const auto child = parent.with_timeout(std::chrono::microseconds(k * 5));
        if (k % 2 == 0) gofer::select(gofer::on_done(child));
      }
    });
  }
}

TEST(Signals, AreReceived) {
  auto signals = gofer::notify_signals({SIGUSR1, SIGUSR2});
  raise(SIGUSR1);
  EXPECT_EQ(signals.receive(), SIGUSR1);
  kill(getpid(), SIGUSR2);
  EXPECT_EQ(signals.receive(), SIGUSR2);
  EXPECT_THROW(gofer::notify_signals({SIGKILL}), std::system_error);
}

}  // namespace
