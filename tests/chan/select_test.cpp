#include <gofer/select.hpp>

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <vector>

#include <gofer/time.hpp>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using gofer::chan;
using gofer::on_receive;
using gofer::on_send;
using Select = test::ForCallers;
FOR_ALL_CALLERS(Select);

TEST(SelectNow, TakesTheReadyCase) {
  chan<int> a(1);
  chan<int> b(1);
  b.send(5);
  int got = 0;
  EXPECT_EQ(gofer::select(on_receive(a), on_receive(b, [&](std::optional<int> v) { got = *v; })), 1U);
  EXPECT_EQ(got, 5);
  EXPECT_EQ(gofer::select(on_send(a, 3), gofer::otherwise()), 0U);
  EXPECT_EQ(a.receive(), 3);
}

TEST(SelectNow, OtherwiseRunsWhenNothingIsReady) {
  chan<int> ch;
  bool ran = false;
  EXPECT_EQ(gofer::select(on_receive(ch), on_send(ch, 1), gofer::otherwise([&] { ran = true; })), 2U);
  EXPECT_TRUE(ran);
}

TEST_P(Select, WaitsForWhatComesFirst) {
  chan<int> a;
  chan<std::string> b;
  test::run_in(GetParam(), 2, [&](int i) {
    if (i == 0) {
      int total = 0;
      std::string text;
      for (int k = 0; k < 200; ++k) {
        gofer::select(on_receive(a, [&](std::optional<int> v) { total += *v; }),
                      on_receive(b, [&](std::optional<std::string> s) { text += *s; }));
      }
      EXPECT_EQ(total, 100);
      EXPECT_EQ(text.size(), 100U);
    } else {
      for (int k = 0; k < 100; ++k) {
        a.send(1);
        b.send("x");
      }
    }
  });
}

TEST_P(Select, TimesOut) {
  chan<int> ch;
  chan<int> full;
  test::run_in(GetParam(), 4, [&](int) {
    const auto begin = std::chrono::steady_clock::now();
    bool ran = false;
    EXPECT_EQ(gofer::select(on_receive(ch), gofer::on_timeout(3ms, [&] { ran = true; }), gofer::on_timeout(1h)), 1U);
    EXPECT_TRUE(ran);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, 3ms);
    EXPECT_EQ(gofer::select(on_send(full, 1), gofer::on_deadline(begin)), 1U);
  });
}

TEST_P(Select, EndsOnAStopOrADoneContext) {
  chan<int> ch;
  std::stop_source stop;
  const auto context = gofer::context::background().with_cancel();
  std::atomic<int> begun{0};
  test::run_in(GetParam(), 3, [&](int i) {
    if (i == 2) {
      while (begun != 2) gofer::yield();
      stop.request_stop();
      gofer::context(context).cancel();
    } else if (i == 0) {
      ++begun;
      EXPECT_EQ(gofer::select(on_receive(ch), gofer::on_stop(stop.get_token())), 1U);
    } else {
      ++begun;
      EXPECT_EQ(gofer::select(on_receive(ch), gofer::on_done(context)), 1U);
    }
  });
  EXPECT_EQ(gofer::select(on_receive(ch), gofer::on_stop(stop.get_token())), 1U) << "stopped already";
}

TEST(SelectNow, AClosedChannelIsReady) {
  chan<int> ch;
  ch.close();
  bool empty = false;
  EXPECT_EQ(gofer::select(on_receive(ch, [&](std::optional<int> v) { empty = !v; })), 0U);
  EXPECT_TRUE(empty);
  EXPECT_THROW(gofer::select(on_send(ch, 1)), gofer::channel_closed);
}

TEST(SelectNow, ANilChannelIsNeverReady) {
  EXPECT_EQ(gofer::select(on_receive(chan<int>::nil()), on_send(chan<int>::nil(), 1), gofer::on_timeout(1ms)), 2U);
}

TEST(SelectNow, AHandlersExceptionLeaves) {
  chan<int> ch(1);
  ch.send(1);
  EXPECT_THROW(gofer::select(on_receive(ch, [](std::optional<int>) { throw std::out_of_range("x"); })),
               std::out_of_range);
  ch.send(2);
  EXPECT_EQ(ch.receive(), 2);
}

TEST(SelectNow, TakesAListMadeAtRunTime) {
  std::vector<chan<int>> channels;
  for (int i = 0; i < 20; ++i) channels.emplace_back(1);
  channels[13].send(13);
  int got = -1;
  std::vector<gofer::select_case> cases;
  for (auto& ch : channels) cases.emplace_back(on_receive(ch, [&](std::optional<int> v) { got = *v; }));
  EXPECT_EQ(gofer::select(cases), 13U);
  EXPECT_EQ(got, 13);
}

TEST(SelectNow, TheOtherCasesLeaveNoTrace) {
  chan<std::unique_ptr<int>> a(1);
  chan<std::unique_ptr<int>> b;
  EXPECT_EQ(gofer::select(on_send(a, std::make_unique<int>(1)), on_send(b, std::make_unique<int>(2))), 0U);
  std::optional<std::unique_ptr<int>> out;
  EXPECT_EQ(b.try_receive(out), gofer::chan_status::empty);
  EXPECT_EQ(**a.receive(), 1);
}

/// Every ready case gets at least 40 % of its share, and the others nothing.
template <class Round>
void expect_fair(std::size_t ready, Round round, std::size_t rounds = 100'000) {
  std::map<std::size_t, std::size_t> picked;
  for (std::size_t i = 0; i < rounds; ++i) ++picked[round()];
  EXPECT_EQ(picked.size(), ready);
  for (const auto& [index, times] : picked) EXPECT_GE(times, rounds / ready * 4 / 10) << "case " << index;
}

TEST(SelectFairness, AmongReadyChannels) {
  std::array<chan<int>, 4> channels{chan<int>(1), chan<int>(1), chan<int>(1), chan<int>(1)};
  for (auto& ch : channels) ch.send(0);
  expect_fair(4, [&] {
    const std::size_t k = gofer::select(on_receive(channels[0]), on_receive(channels[1]), on_receive(channels[2]),
                                        on_receive(channels[3]));
    channels[k].send(0);
    return k;
  });
}

TEST(SelectFairness, AmongCasesOfAllKinds) {
  chan<int> full(1);
  full.send(0);
  chan<int> closed;
  closed.close();
  chan<int> room(1);
  const chan<int> empty(1);
  std::stop_source stop;
  stop.request_stop();
  expect_fair(4, [&] {
    const std::size_t k = gofer::select(on_receive(full), on_receive(closed), on_send(room, 1), on_receive(empty),
                                        gofer::on_stop(stop.get_token()), gofer::on_timeout(1h));
    if (k == 0) full.send(0);
    if (k == 2) (void)room.receive();
    return k;
  });
}

TEST(SelectFairness, AmongCasesOfOneChannel) {
  chan<int> ch(2);
  expect_fair(4, [&] {
    ch.send(1);  // one value, room for one
    const std::size_t k = gofer::select(on_receive(ch), on_receive(ch), on_send(ch, 2), on_send(ch, 2));
    std::optional<int> rest;
    while (ch.try_receive(rest) == gofer::chan_status::ok) {
    }
    return k;
  });
}

TEST(SelectFairness, AmongWaitingSenders) {
  std::array<chan<int>, 3> channels;
  for (auto& ch : channels) {
    gofer::go([=] {
      try {
        for (;;) ch.send(1);
      } catch (const gofer::channel_closed&) {
      }
    });
  }
  std::array<int, 3> picked{};
  gofer::run([&] {
    for (int i = 0; i < 30'000; ++i) {
      // All wait again before the next round.
      while (std::ranges::any_of(channels, [](auto& ch) {
        const std::scoped_lock hold(ch.ref().get()->lock);
        return ch.ref().get()->senders.empty();
      })) {
        gofer::yield();
      }
      ++picked[gofer::select(on_receive(channels[0]), on_receive(channels[1]), on_receive(channels[2]))];
    }
  });
  for (auto& ch : channels) ch.close();
  for (const int times : picked) EXPECT_GE(times, 4000);
}

TEST(SelectFairness, AmongMoreCasesThanFitASet) {
  std::vector<chan<int>> channels;
  std::vector<gofer::select_case> cases;
  for (int i = 0; i < 100; ++i) cases.emplace_back(on_receive(channels.emplace_back(1)));
  for (const std::size_t ready : {3, 70, 99}) channels[ready].send(0);
  const auto round = [&] {
    const std::size_t k = gofer::select(cases);
    channels[k].send(0);
    return k;
  };
  expect_fair(3, round, 10'000);
}

TEST(SelectNow, CasesOnOneChannelNeverMeetEachOther) {
  chan<int> ch;
  EXPECT_EQ(gofer::select(on_send(ch, 1), on_receive(ch), gofer::on_timeout(1ms)), 2U);
  EXPECT_EQ(gofer::select(on_receive(ch), on_send(ch, 1), gofer::otherwise()), 2U);
}

TEST(SelectNow, ACaseOfAListKeepsItsChannel) {
  std::vector<gofer::select_case> cases;
  int got = 0;
  {
    chan<int> ch(1);
    ch.send(5);
    cases.emplace_back(on_receive(ch, [&](std::optional<int> v) { got = v.value(); }));
    cases.emplace_back(on_receive(chan<int>(1)));
  }
  EXPECT_EQ(gofer::select(cases), 0U);
  EXPECT_EQ(got, 5);
}

TEST(SelectNow, WhatAHandlerLeavesIsDestroyedBeforeTheReturn) {
  struct farewell {  // which uses the channel that brought it, and with it the channel's lock
    const gofer::chan<std::unique_ptr<farewell>>* from;
    ~farewell() { from->try_send(nullptr); }
  };
  const gofer::chan<std::unique_ptr<farewell>> ch(2);
  std::vector<gofer::select_case> cases;
  cases.emplace_back(gofer::on_receive(ch));
  ch.send(std::make_unique<farewell>(&ch));
  gofer::select(cases);
  EXPECT_EQ(ch.size(), 1U) << "it has said so";
  gofer::select(cases);
  EXPECT_EQ(ch.size(), 0U);
}

TEST(SelectNow, ATemporaryHandleIsTakenOver) {
  const auto filled = [] {
    chan<std::string> ch(1);
    ch.send("value");
    return ch;
  };
  std::string got;
  gofer::select(on_receive(filled(), [&](std::optional<std::string> v) { got = v.value(); }));
  EXPECT_EQ(got, "value");
  EXPECT_EQ(gofer::select(on_receive(gofer::receiver<std::string>(filled()))), 0U);
  EXPECT_EQ(gofer::select(on_send(chan<int>(1), 1)), 0U);
}

TEST(After, WhatNobodyCanReceiveIsNotKept) {
  const auto in_use = [] { return mallinfo2().uordblks; };
  for (int i = 0; i < 100; ++i) (void)gofer::after(24h);
  const auto before = in_use();
  for (int i = 0; i < 10'000; ++i) gofer::select(on_receive(gofer::after(24h)), gofer::otherwise());
  EXPECT_LE(in_use(), before + 1'000'000);  // what threads of the runtime take meanwhile included
}

TEST(After, SendsOnce) {
  const auto begin = std::chrono::steady_clock::now();
  auto ch = gofer::after(3ms);
  EXPECT_GE(ch.receive().value() - begin, 3ms);
  std::optional<std::chrono::steady_clock::time_point> out;
  EXPECT_EQ(ch.try_receive(out), gofer::chan_status::empty);
  (void)gofer::after(1ms);  // nobody receives
}

// Two selects on the same two channels, in opposite orders: no deadlock, and nothing is taken twice.
TEST_P(Select, StressSendAndReceiveOnTheSameChannels) {
  chan<int> a;
  chan<int> b;
  std::atomic<int> sent{0};
  std::atomic<int> received{0};
  const int rounds = test::times(3000);
  test::run_in(GetParam(), 6, [&](int i) {
    for (int k = 0; k < rounds; ++k) {
      const auto got = [&](std::optional<int> v) { received += v.value(); };
      const auto gave = [&] { ++sent; };
      if (i % 2 == 0) {
        gofer::select(on_receive(a, got), on_send(b, 1, gave), gofer::on_timeout(1ms));
      } else {
        gofer::select(on_send(b, 1, gave), on_receive(a, got), on_receive(b, got), on_send(a, 1, gave),
                      gofer::on_timeout(1ms));
      }
    }
  });
  EXPECT_EQ(sent, received);
  EXPECT_GT(sent, 0);
}

TEST_P(Select, StressRacesWithCloseAndTimeouts) {
  for (int round = 0; round < test::times(200); ++round) {
    chan<int> data(1);
    chan<int> quit;
    std::atomic<int> sum{0};
    test::run_in(GetParam(), 4, [&](int i) {
      if (i == 0) {
        for (int k = 0; k < 10; ++k) gofer::select(on_send(data, 1), gofer::on_timeout(100us));
        quit.close();
        return;
      }
      for (bool over = false; !over;) {
        gofer::select(on_receive(data, [&](std::optional<int> v) { sum += *v; }),
                      on_receive(quit, [&](std::optional<int>) { over = true; }), gofer::on_timeout(10us));
      }
    });
    std::optional<int> rest;
    while (data.try_receive(rest) == gofer::chan_status::ok) sum += *rest;
    EXPECT_LE(sum, 10);
    EXPECT_GT(sum, 0);
  }
}

// A stop that comes between the look at it and the waiter's being told of it runs the callback in the frame that is
// about to wait.
TEST_P(Select, StressAStopJustBeforeTheWait) {
  const int rounds = test::times(20000);
  std::atomic<std::stop_source*> next{nullptr};
  test::run_in(GetParam(), 2, [&](int i) {
    for (int k = 0; k < rounds; ++k) {
      if (i == 0) {
        std::stop_source task;
        next = &task;
        EXPECT_EQ(gofer::select(gofer::on_stop(task.get_token())), 0U);
        while (next != nullptr) gofer::yield();
      } else {
        while (next == nullptr) gofer::yield();
        for (volatile int pause = 0; pause < k % 200;) pause = pause + 1;
        next.load()->request_stop();
        next = nullptr;
      }
    }
  });
}

}  // namespace
