#include <gofer/chan.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <gofer/go.hpp>
#include <gofer/select.hpp>
#include <gofer/wait_group.hpp>

#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using gofer::chan;
using gofer::chan_status;
using Channel = test::ForCallers;
FOR_ALL_CALLERS(Channel);

TEST_P(Channel, HandsValuesOverInOrder) {
  for (const std::size_t capacity : {0, 1, 7}) {
    chan<int> ch(capacity);
    test::run_in(GetParam(), 2, [&](int i) {
      if (i == 0) {
        for (int k = 0; k < 1000; ++k) ch.send(k);
        ch.close();
      } else {
        int expected = 0;
        for (const int v : ch) EXPECT_EQ(v, expected++);
        EXPECT_EQ(expected, 1000);
      }
    });
  }
}

TEST_P(Channel, UnbufferedSendWaitsForTheReceiver) {
  chan<int> ch;
  std::atomic<bool> received{false};
  test::run_in(GetParam(), 2, [&](int i) {
    if (i == 0) {
      ch.send(1);
      EXPECT_TRUE(received || ch.size() == 0);
    } else {
      gofer::sleep_for(2ms);
      received = true;
      EXPECT_EQ(ch.receive(), 1);
    }
  });
}

TEST(ChannelBuffer, HoldsAsMuchAsItsCapacity) {
  chan<std::string> ch(2);
  EXPECT_EQ(ch.capacity(), 2U);
  std::string third = "third";
  EXPECT_TRUE(ch.try_send("first"));
  EXPECT_TRUE(ch.try_send("second"));
  EXPECT_FALSE(ch.try_send(std::move(third)));
  EXPECT_EQ(third, "third") << "untouched";
  EXPECT_FALSE(ch.send_for(std::move(third), 1ms));
  EXPECT_EQ(third, "third") << "untouched";
  EXPECT_EQ(ch.size(), 2U);
  EXPECT_EQ(ch.receive(), "first");
  EXPECT_EQ(ch.receive(), "second");
}

TEST(ChannelClose, BufferedValuesSurvive) {
  chan<int> ch(3);
  ch.send(1);
  ch.send(2);
  ch.close();
  EXPECT_TRUE(ch.closed());
  EXPECT_EQ(ch.receive(), 1);
  std::optional<int> out;
  EXPECT_EQ(ch.try_receive(out), chan_status::ok);
  EXPECT_EQ(out, 2);
  EXPECT_EQ(ch.try_receive(out), chan_status::closed);
  EXPECT_EQ(out, std::nullopt);
  EXPECT_EQ(ch.receive(), std::nullopt);
}

TEST(ChannelClose, SendingAndClosingAgainThrow) {
  chan<int> ch(1);
  ch.close();
  EXPECT_THROW(ch.send(1), gofer::channel_closed);
  EXPECT_THROW(ch.try_send(1), gofer::channel_closed);
  EXPECT_THROW(ch.close(), gofer::channel_closed);
}

TEST_P(Channel, CloseWakesEveryReceiverAndEverySender) {
  chan<int> idle;
  chan<int> full;
  std::atomic<int> begun{0};
  test::run_in(GetParam(), 11, [&](int i) {
    if (i == 10) {
      while (begun != 10) gofer::yield();
      gofer::sleep_for(1ms);
      idle.close();
      full.close();
    } else if (i % 2 == 0) {
      ++begun;
      EXPECT_EQ(idle.receive(), std::nullopt);
    } else {
      ++begun;
      EXPECT_THROW(full.send(i), gofer::channel_closed);
    }
  });
}

TEST_P(Channel, TimedAndStoppableFormsGiveUp) {
  chan<int> ch;
  chan<int> full;
  std::stop_source stop;
  stop.request_stop();
  test::run_in(GetParam(), 4, [&](int) {
    std::optional<int> out;
    EXPECT_EQ(ch.try_receive(out), chan_status::empty);
    EXPECT_EQ(ch.receive_for(out, 1ms), chan_status::timeout);
    EXPECT_EQ(ch.receive_until(out, std::chrono::steady_clock::now() + 1ms), chan_status::timeout);
    EXPECT_EQ(ch.receive(out, stop.get_token()), chan_status::stopped);
    EXPECT_FALSE(full.send_for(1, 1ms));
    EXPECT_FALSE(full.send_until(1, std::chrono::steady_clock::now()));
    EXPECT_FALSE(full.send(1, stop.get_token()));
  });
}

TEST_P(Channel, NilWaitsForEver) {
  auto ch = chan<int>::nil();
  test::run_in(GetParam(), 2, [&](int) {
    std::optional<int> out;
    EXPECT_EQ(ch.receive_for(out, 1ms), chan_status::timeout);
    EXPECT_FALSE(ch.send_for(1, 1ms));
    EXPECT_FALSE(ch.try_send(1));
    EXPECT_EQ(ch.try_receive(out), chan_status::empty);
  });
  EXPECT_THROW(ch.close(), std::logic_error);
}

TEST(ChannelValues, MayBeMoveOnlyAndChannels) {
  chan<std::unique_ptr<int>> ch(1);
  ch.send(std::make_unique<int>(5));
  EXPECT_EQ(**ch.receive(), 5);
  chan<chan<int>> replies(1);
  chan<int> reply(1);
  replies.send(reply);
  replies.receive()->send(7);
  EXPECT_EQ(reply.receive(), 7);
}

TEST(ChannelValues, LeftInTheBufferAreDestroyed) {
  auto watched = std::make_shared<int>(1);
  {
    chan<std::shared_ptr<int>> ch(4);
    ch.send(watched);
    ch.send(watched);
    (void)ch.receive();
    ch.send(watched);
    EXPECT_EQ(watched.use_count(), 3);
  }
  EXPECT_EQ(watched.use_count(), 1);
}

struct fussy {
  static inline int countdown = -1;  // the move that brings it to 0 throws
  int value;
  explicit fussy(int v) : value(v) {}
  fussy(fussy&& other) : value(other.value) {
    if (countdown > 0 && --countdown == 0) throw std::runtime_error("this move fails");
    other.value = -1;
  }
  fussy& operator=(fussy&&) = default;
};

TEST(ChannelValues, AThrowingMoveLeavesTheChannelUsable) {
  chan<fussy> ch(2);
  ch.send(fussy(1));
  fussy second(2);
  fussy::countdown = 1;
  EXPECT_THROW(ch.try_send(std::move(second)), std::runtime_error);
  EXPECT_EQ(second.value, 2);
  EXPECT_EQ(ch.size(), 1U);
  fussy::countdown = 1;
  std::optional<fussy> out;
  EXPECT_THROW(ch.try_receive(out), std::runtime_error);
  fussy::countdown = -1;
  EXPECT_EQ(ch.try_receive(out), chan_status::ok);
  EXPECT_EQ(out->value, 1);
}

/// Waits until so many fibers or threads wait in `queue` of the channel.
template <class T>
void until_waiting(const chan<T>& ch, gofer::sync::wait_list gofer::channels::channel_base::* queue) {
  for (;;) {
    {
      auto& inside = *ch.ref().get();
      const std::scoped_lock hold(inside.lock);
      if (!(inside.*queue).empty()) return;
    }
    gofer::yield();
  }
}

// A value whose move throws: whoever moves it is told, nobody else, and nothing is lost.
TEST_P(Channel, AThrowingMoveToAWaitingReceiverIsTheSenders) {
  chan<fussy> ch;
  test::run_in(GetParam(), 2, [&](int i) {
    if (i == 0) {
      EXPECT_EQ(ch.receive().value().value, 7);
      return;
    }
    until_waiting(ch, &gofer::channels::channel_base::receivers);
    fussy v(7);
    fussy::countdown = 1;
    EXPECT_THROW(ch.try_send(std::move(v)), std::runtime_error);
    fussy::countdown = -1;
    EXPECT_EQ(v.value, 7);
    EXPECT_TRUE(ch.try_send(std::move(v)));
  });
}

TEST_P(Channel, AThrowingMoveFromAWaitingSenderIsTheReceivers) {
  chan<fussy> ch;
  test::run_in(GetParam(), 2, [&](int i) {
    if (i == 0) {
      ch.send(fussy(7));
      return;
    }
    until_waiting(ch, &gofer::channels::channel_base::senders);
    std::optional<fussy> out;
    fussy::countdown = 1;
    EXPECT_THROW(ch.try_receive(out), std::runtime_error);
    fussy::countdown = -1;
    EXPECT_EQ(ch.try_receive(out), chan_status::ok);
    EXPECT_EQ(out.value().value, 7);
  });
}

TEST_P(Channel, AThrowingMoveIntoTheBufferLeavesTheSenderWaiting) {
  chan<fussy> ch(1);
  ch.send(fussy(1));
  test::run_in(GetParam(), 2, [&](int i) {
    if (i == 0) {
      ch.send(fussy(2));
      return;
    }
    until_waiting(ch, &gofer::channels::channel_base::senders);
    std::optional<fussy> out;
    fussy::countdown = 2;  // out of the buffer, then out of the sender
    EXPECT_EQ(ch.try_receive(out), chan_status::ok);
    fussy::countdown = -1;
    EXPECT_EQ(out.value().value, 1);
    EXPECT_EQ(ch.size(), 0U);
    EXPECT_EQ(ch.try_receive(out), chan_status::ok);
    EXPECT_EQ(out.value().value, 2);
  });
}

/// Can only be moved, and counts how many hold something.
struct counted {
  static inline std::atomic<int> full{0};
  int value = 0;
  explicit counted(int v) : value(v) { ++full; }
  counted(counted&& other) noexcept : value(std::exchange(other.value, 0)) {}
  counted& operator=(counted&& other) noexcept {
    std::swap(value, other.value);
    return *this;
  }
  ~counted() {
    if (value != 0) --full;
  }
};

/// Offers `v` in one of the ways there are. True: it was taken. Throws channel_closed.
bool offer(const chan<counted>& ch, counted& v, int way, const std::stop_token& stop) {
  switch (way % 4) {
    case 0:
      return ch.send_for(std::move(v), 20us);
    case 1:
      return ch.try_send(std::move(v));
    case 2:
      return ch.send(std::move(v), stop);
    default: {
      bool taken = false;
      auto sending = gofer::on_send(ch, counted(v.value), [&] { taken = true; });
      gofer::select(sending, gofer::on_timeout(20us));
      return taken;
    }
  }
}

chan_status ask(const chan<counted>& ch, std::optional<counted>& out, int way, const std::stop_token& stop) {
  switch (way % 4) {
    case 0:
      return ch.receive_for(out, 20us);
    case 1:
      return ch.try_receive(out);
    case 2:
      return ch.receive(out, stop);
    default: {
      auto status = chan_status::timeout;
      gofer::select(gofer::on_receive(ch,
                                      [&](std::optional<counted> v) {
                                        status = v ? chan_status::ok : chan_status::closed;
                                        if (v) out.emplace(std::move(*v));
                                      }),
                    gofer::on_timeout(20us));
      return status;
    }
  }
}

// Whatever races, a value that was taken is received once, and one that was refused is still the sender's.
TEST_P(Channel, StressValuesAreMovedOnceOrNotAtAll) {
  for (int round = 0; round < test::times(200); ++round) {
    constexpr int each = 30;
    chan<counted> ch(static_cast<std::size_t>(round % 3));
    std::stop_source stop;
    std::array<std::atomic<int>, 4 * each + 1> balance{};  // of each value: taken minus received
    test::run_in(GetParam(), 9, [&](int i) {
      if (i < 4) {
        for (int k = 1; k <= each; ++k) {
          counted v(i * each + k);
          bool taken = false;
          try {
            taken = offer(ch, v, i, stop.get_token());
          } catch (const gofer::channel_closed&) {
          }
          EXPECT_TRUE(taken || v.value == i * each + k) << "a refused value is untouched";
          if (taken) ++balance[static_cast<std::size_t>(i * each + k)];
        }
      } else if (i < 8) {
        for (;;) {
          std::optional<counted> got;
          const chan_status status = ask(ch, got, i, stop.get_token());
          if (got) --balance[static_cast<std::size_t>(got->value)];
          if (status == chan_status::closed || status == chan_status::stopped) return;
          if (status == chan_status::empty) gofer::yield();
        }
      } else {
        gofer::sleep_for(std::chrono::microseconds(round % 7 * 50));
        stop.request_stop();
        gofer::sleep_for(std::chrono::microseconds(round % 5 * 50));
        ch.close();
      }
    });
    while (const auto left = ch.receive()) --balance[static_cast<std::size_t>(left->value)];
    EXPECT_TRUE(std::ranges::all_of(balance, [](const auto& n) { return n == 0; }));
  }
  EXPECT_EQ(counted::full, 0);
}

TEST(ChannelViews, AreHalvesAndRanges) {
  chan<int> ch(10);
  gofer::sender<int> in = ch;
  gofer::receiver<int> out = ch;
  for (int i = 0; i < 10; ++i) in.send(i);
  in.close();
  std::vector<int> even;
  for (const int v : out | std::views::filter([](int i) { return i % 2 == 0; })) even.push_back(v);
  EXPECT_EQ(even, (std::vector<int>{0, 2, 4, 6, 8}));
  static_assert(std::ranges::input_range<gofer::receiver<int>&>);
  static_assert(std::ranges::input_range<const chan<std::unique_ptr<int>>&>);

  chan<int> counting(3);
  for (int i = 1; i <= 3; ++i) counting.send(i);
  counting.close();
  int sum = 0;
  for (const int square : counting | std::views::transform([](int i) { return i * i; })) sum += square;
  EXPECT_EQ(sum, 14);
}

TEST_P(Channel, WaitingReceiversAreServedInOrder) {
  chan<int> ch;
  std::mutex order_lock;
  std::vector<int> order;
  const auto waiting = [&] {
    auto& inside = *ch.ref().get();
    const std::scoped_lock hold(inside.lock);
    int count = 0;
    for (const auto* node = inside.receivers.front(); node != nullptr; node = node->next) ++count;
    return count;
  };
  test::run_in(GetParam(), 5, [&](int i) {
    while (waiting() != i) gofer::yield();
    if (i == 4) {
      for (int k = 0; k < 4; ++k) ch.send(k);
      return;
    }
    const int got = ch.receive().value();
    const std::scoped_lock hold(order_lock);
    order.push_back(got * 10 + i);
  });
  std::ranges::sort(order);
  EXPECT_EQ(order, (std::vector<int>{0, 11, 22, 33}));
}

TEST_P(Channel, StressEveryValueArrivesOnce) {
  for (const std::size_t capacity : {0, 1, 100}) {
    chan<int> ch(capacity);
    const int each = test::times(4000);
    std::vector<std::atomic<int>> seen(static_cast<std::size_t>(4 * each));
    std::atomic<int> senders{4};
    test::run_in(GetParam(), 8, [&](int i) {
      if (i < 4) {
        for (int k = 0; k < each; ++k) {
          int v = i * each + k;
          if (k % 3 == 0) {
            while (!ch.send_for(std::move(v), 20us)) {
            }
          } else if (k % 3 == 1) {
            while (!ch.try_send(std::move(v))) gofer::yield();
          } else {
            ch.send(v);
          }
        }
        if (--senders == 0) ch.close();
      } else {
        for (;;) {
          std::optional<int> v;
          const chan_status s =
              i % 2 == 0 ? ch.receive_for(v, 20us) : (v = ch.receive(), v ? chan_status::ok : chan_status::closed);
          if (s == chan_status::closed) return;
          if (v) ++seen[static_cast<std::size_t>(*v)];
        }
      }
    });
    EXPECT_TRUE(std::ranges::all_of(seen, [](const auto& n) { return n == 1; }));
  }
}

}  // namespace
