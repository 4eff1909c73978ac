#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <thread>

#include <gofer/detail/arch/restartable.hpp>

#include "support/callers.hpp"

namespace {

using gofer::arch::compare_and_clear;
using gofer::arch::give_restarts_up;
using gofer::arch::restart_everywhere;

constexpr std::uintptr_t own = 1;
constexpr std::uintptr_t both = 3;

/// A thread stores `own` and clears it all the time; we make `both` of it, `restart`, and, if it is still there, tell
/// the thread that it may go on. Returns how often it had cleared the word before.
template <class F>
int lost_afterwards(int rounds, F restart) {
  std::atomic<std::uintptr_t> word{0};
  std::atomic<bool> over{false};
  std::atomic<bool> go_on{false};
  std::thread owner([&] {
    for (unsigned n = 0; !over; ++n) {
      word.store(own, std::memory_order_relaxed);
      if (n % 1024 == 0) std::this_thread::yield();  // for machines with one core
      while (!compare_and_clear(word, own)) {
        if (word == own) continue;  // interrupted
        while (!go_on && !over) std::this_thread::yield();
        go_on = false;
        break;
      }
    }
  });
  int lost = 0;
  for (int round = 0; round < rounds; ++round) {
    for (std::uintptr_t seen = own; !word.compare_exchange_weak(seen, both); seen = own) {
      std::this_thread::yield();
    }
    restart();
    if (word != both) continue;
    go_on = true;
    while (go_on) {
      std::this_thread::yield();
      if (word == both || !go_on) continue;
      ++lost;  // gone, and the owner was not told yet
      go_on = false;
    }
  }
  over = true;
  owner.join();
  return lost;
}

TEST(Restartable, ClearsWhatItExpectsAndLeavesTheRest) {
  std::atomic<std::uintptr_t> word{own};
  while (!compare_and_clear(word, own)) EXPECT_EQ(word, own);  // interrupted
  EXPECT_EQ(word, 0U);
  word = both;
  EXPECT_FALSE(compare_and_clear(word, own));
  EXPECT_EQ(word, both);
}

TEST(RestartableStress, WhatIsThereAfterARestartStays) {
  EXPECT_EQ(lost_afterwards(test::times(20'000), restart_everywhere), 0);
}

TEST(RestartableStress, WhatIsThereStaysOnceRestartsAreGivenUp) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto in_a_child = [] {
    give_restarts_up();
    std::_Exit(lost_afterwards(test::times(200'000), [] {}));
  };
  EXPECT_EXIT(in_a_child(), testing::ExitedWithCode(0), "");
}

}  // namespace
