#include <gofer/time.hpp>

#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <system_error>
#include <vector>

#include <gofer/chan.hpp>
#include <gofer/condition_variable.hpp>
#include <gofer/context.hpp>
#include <gofer/go.hpp>
#include <gofer/latch.hpp>
#include <gofer/mutex.hpp>
#include <gofer/runtime.hpp>
#include <gofer/select.hpp>
#include <gofer/wait_group.hpp>

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

TEST(Ticker, MayTickSoRarelyThatItNeverDoes) {
  gofer::ticker t(std::chrono::hours::max());
  std::optional<gofer::sched::time_point> at;
  EXPECT_EQ(t.ticks().receive_for(at, 5ms), gofer::chan_status::timeout);
  t.reset(1ms);
  EXPECT_EQ(t.ticks().receive_for(at, 1h), gofer::chan_status::ok);
  t.reset(std::chrono::nanoseconds::max());
  EXPECT_THROW(t.reset(std::chrono::hours::min()), std::invalid_argument);
}

TEST(TickerStress, NothingIsSentOnceAStopHasReturned) {
  test::run_in(test::callers::mixed, 4, [&](int caller) {
    for (int i = 0; i < test::times(2000); ++i) {
      gofer::ticker t(std::chrono::microseconds(1 + (caller + i) % 20));
      std::optional<gofer::sched::time_point> tick;
      while (t.ticks().try_receive(tick) != gofer::chan_status::ok) gofer::yield();
      t.stop();
      t.ticks().try_receive(tick);
      gofer::yield();
      EXPECT_EQ(t.ticks().try_receive(tick), gofer::chan_status::empty);
    }
  });
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

TEST(Timer, AMillionAtOnce) {
  const int count = test::times(1'000'000);
  std::atomic<int> fired{0};
  std::vector<std::unique_ptr<gofer::timer>> timers;
  timers.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    timers.push_back(std::make_unique<gofer::timer>(i % 4 == 0 ? clock::duration(1ms + i * 200ns) : clock::duration(1h),
                                                    [&] { ++fired; }));
  }
  int stopped = 0;
  for (int i = 0; i < count; ++i) {
    if (i % 4 != 0) stopped += timers[static_cast<std::size_t>(i)]->stop() ? 1 : 0;
  }
  EXPECT_EQ(stopped, count / 4 * 3);
  while (fired != count / 4) gofer::sleep_for(1ms);
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

TEST(Context, WhoseTimeIsUpIsDoneAtOnce) {
  const auto background = gofer::context::background();
  for (const auto& c : {background.with_timeout(0s), background.with_timeout(-1s),
                        background.with_deadline(std::chrono::system_clock::now() - 1h)}) {
    EXPECT_EQ(c.error(), std::errc::timed_out);
    EXPECT_TRUE(c.token().stop_requested());
    EXPECT_EQ(c.with_cancel().error(), std::errc::timed_out);
  }
}

TEST(Context, CancelledWithoutACauseIsCancelledAllTheSame) {
  auto c = gofer::context::background().with_cancel();
  c.cancel(std::error_code());
  EXPECT_TRUE(c.done());
  EXPECT_EQ(c.error(), std::errc::operation_canceled);
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

TEST(Context, TheFirstCauseCounts) {
  auto c = gofer::context::background().with_timeout(1h);
  c.cancel(std::make_error_code(std::errc::connection_reset));
  c.cancel();
  EXPECT_EQ(c.error(), std::errc::connection_reset);
  EXPECT_EQ(c.with_cancel().error(), std::errc::connection_reset) << "a child made late is cancelled from the start";
}

TEST(Context, AChildHasNoMoreTimeThanItsParent) {
  const auto parent = gofer::context::background().with_timeout(5ms);
  const auto child = parent.with_timeout(1h);
  EXPECT_EQ(child.deadline(), parent.deadline());
  EXPECT_EQ(gofer::select(gofer::on_done(child)), 0U);
  EXPECT_EQ(child.error(), std::errc::timed_out);
  const auto patient = gofer::context::background().with_timeout(2h);
  EXPECT_LT(patient.with_timeout(1h).deadline().value(), patient.deadline().value());
}

TEST(Context, CancellingAChildLeavesTheParent) {
  auto parent = gofer::context::background().with_cancel();
  auto child = parent.with_cancel();
  child.cancel();
  EXPECT_FALSE(parent.done());
  EXPECT_FALSE(parent.token().stop_requested());
  gofer::context::background().cancel();
  EXPECT_FALSE(gofer::context::background().done());
}

TEST(Context, IsAStopTokenToAllThatTakesOne) {
  auto c = gofer::context::background().with_cancel();
  bool called = false;
  const std::stop_callback on_cancel(c.token(), [&] { called = true; });
  gofer::mutex m;
  gofer::condition_variable ready;
  gofer::wait_group waiting;
  waiting.go([&] {
    std::unique_lock lock(m);
    EXPECT_FALSE(ready.wait(lock, c.token(), [] { return false; }));
  });
  waiting.go([&] {
    std::optional<int> out;
    EXPECT_EQ(gofer::chan<int>().receive(out, c.token()), gofer::chan_status::stopped);
  });
  waiting.go([&] { EXPECT_FALSE(gofer::sleep_for(1h, c.token())); });
  c.cancel();
  waiting.wait();
  EXPECT_TRUE(called);
}

TEST(Context, MayBeDeeperThanAnyStack) {
  static const gofer::context_key<int> number;
  gofer::run([] {
    auto root = gofer::context::background().with_cancel();
    auto leaf = root;
    for (int i = 0; i < test::times(100'000); ++i) {
      leaf = i % 3 == 0 ? leaf.with_value(number, i) : i % 3 == 1 ? leaf.with_cancel() : leaf.with_timeout(1h);
    }
    root.cancel(std::make_error_code(std::errc::host_unreachable));
    EXPECT_EQ(leaf.error(), std::errc::host_unreachable);
    EXPECT_NE(leaf.value(number), nullptr);
    leaf = root;  // and all that was between
  });
}

TEST(Context, MayGoWhileItIsBeingCancelled) {
  auto last = std::make_optional(gofer::context::background().with_cancel().with_cancel());
  bool cancelled_below = false;
  const auto below = last->with_cancel();
  const std::stop_callback noted(below.token(), [&] { cancelled_below = true; });
  const std::stop_callback lets_go(last->token(), [&] { last.reset(); });
  last->cancel();
  EXPECT_TRUE(cancelled_below);
}

TEST(Context, AParentForgetsItsChildren) {
  const auto parent = gofer::context::background().with_timeout(1h);
  const auto in_use = [] { return mallinfo2().uordblks; };
  const auto live_and_die = [&](int count) {
    for (int i = 0; i < count; ++i) (void)parent.with_timeout(30min).with_cancel();
  };
  live_and_die(1000);
  const auto before = in_use();
  live_and_die(test::times(1'000'000));
  EXPECT_LE(in_use(), before + 1'000'000);  // what threads of the runtime take meanwhile included
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
  EXPECT_THROW(gofer::notify_signals({SIGHUP, SIGKILL}), std::system_error);
  struct sigaction now{};
  sigaction(SIGHUP, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL) << "of all or of none";
  sigaction(SIGUSR1, nullptr, &now);
  EXPECT_NE(now.sa_flags & SA_ONSTACK, 0) << "not on a fiber's small stack";
}

TEST(Signals, AreNotKeptForNobody) {
  auto first = gofer::notify_signals({SIGUSR1, SIGUSR2});
  const auto in_use = [] { return mallinfo2().uordblks; };
  const auto before = in_use();
  for (int i = 0; i < 10'000; ++i) gofer::notify_signals({SIGUSR2});
  EXPECT_LE(in_use(), before + 1'000'000);
  raise(SIGUSR2);
  EXPECT_EQ(first.receive(), SIGUSR2);
}

}  // namespace
