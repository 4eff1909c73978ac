// A value whose move throws, in the middle of whatever a channel does.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include <gofer/gofer.hpp>

#include "support/explored.hpp"

namespace {

using namespace std::chrono_literals;

using gofer::chan_status;

// Throws out of its n-th move from now on.
struct fussy {
  explicit fussy(int v) : value(v) { ++alive; }
  fussy(fussy&& other) : value(other.value) {
    throw_in_turn();
    other.value = -1;
    ++alive;
  }
  fussy& operator=(fussy&& other) {
    throw_in_turn();
    value = std::exchange(other.value, -1);
    return *this;
  }
  fussy(const fussy&) = delete;
  fussy& operator=(const fussy&) = delete;
  ~fussy() { --alive; }
  static void throw_in_turn() {
    if (--moves_until_throw == 0) throw std::runtime_error("fussy");
  }
  int value;
  inline static std::atomic<int> moves_until_throw{0};
  inline static std::atomic<int> alive{0};
};

// Two senders and a receiver who give up in time; another sender and another receiver come at just that time; one of
// the moves throws. The others get and keep what is theirs, nobody waits for ever, and the channel is as good as new.
void play_with_fussy_values(std::size_t capacity, int throws_in) {
  fussy::alive = 0;
  std::multiset<int> seen;
  std::atomic<int> threw{0};
  {
    fussy::moves_until_throw = 0;
    gofer::chan<fussy> ch(capacity);
    std::optional<fussy> mine[3];
    std::optional<int> got[2];
    for (int i = 0; i < 3; ++i) mine[i].emplace(i);
    fussy::moves_until_throw = throws_in;
    gofer::wait_group all;
    const auto or_throws = [&](auto f) {
      all.go([&threw, f] {
        try {
          f();
        } catch (const std::runtime_error&) {
          ++threw;
        }
      });
    };
    for (int i = 0; i < 3; ++i) {
      or_throws([&ch, &v = *mine[i], i] {
        if (i == 2) gofer::sleep_for(1ms);
        ch.send_for(std::move(v), 1ms);
      });
    }
    for (int i = 0; i < 2; ++i) {
      or_throws([&ch, &received = got[i], i] {
        if (i == 1) gofer::sleep_for(1ms);
        std::optional<fussy> out;
        if (ch.receive_for(out, 1ms) == chan_status::ok) received = out->value;
      });
    }
    all.wait();
    EXPECT_LE(threw, 1);
    fussy::moves_until_throw = 0;
    std::optional<fussy> out;
    while (ch.try_receive(out) == chan_status::ok) seen.insert(out->value);
    for (const auto& v : mine) {
      if (v->value != -1) seen.insert(v->value);
    }
    for (const auto& v : got) {
      if (v) seen.insert(*v);
    }
    for (std::size_t i = 0; i < capacity; ++i) EXPECT_TRUE(ch.try_send(fussy(9)));
    EXPECT_FALSE(ch.try_send(fussy(9)));
  }
  // Who threw may have lost what it moved, nobody else anything.
  for (int i = 0; i < 3; ++i) EXPECT_LE(seen.count(i), 1U);
  EXPECT_GE(seen.size() + static_cast<std::size_t>(threw), 3U);
  EXPECT_EQ(fussy::alive, 0);
}

TEST(ChannelExplored, AMoveThatThrowsLosesNothingOfOthers) {
  for (const std::size_t capacity : {0U, 1U}) {
    for (int throws_in = 1; throws_in <= 10; ++throws_in) {
      SCOPED_TRACE("capacity " + std::to_string(capacity) + ", move " + std::to_string(throws_in));
      gofer::testing::explore([=] { play_with_fussy_values(capacity, throws_in); },
                              {.schedules = test::schedules() / 10});
    }
  }
}

}  // namespace
