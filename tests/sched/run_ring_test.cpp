#include "sched/run_ring.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "support/callers.hpp"

namespace {

using gofer::sched::fiber;
using gofer::sched::run_ring;

fiber* numbered(std::uintptr_t n) { return reinterpret_cast<fiber*>(n * 64); }
std::uintptr_t number(fiber* f) { return reinterpret_cast<std::uintptr_t>(f) / 64; }

TEST(RunRing, IsFirstInFirstOutAndBounded) {
  run_ring ring;
  EXPECT_EQ(ring.pop(), nullptr);
  for (std::uintptr_t i = 1; i <= run_ring::capacity; ++i) EXPECT_TRUE(ring.push(numbered(i)));
  EXPECT_FALSE(ring.push(numbered(999)));
  for (std::uintptr_t i = 1; i <= run_ring::capacity; ++i) EXPECT_EQ(number(ring.pop()), i);
  EXPECT_EQ(ring.pop(), nullptr);
}

TEST(RunRing, AThiefTakesTheOlderHalf) {
  run_ring victim;
  run_ring thief;
  for (std::uintptr_t i = 1; i <= 5; ++i) victim.push(numbered(i));
  EXPECT_EQ(victim.steal_half_into(thief), 3U);
  EXPECT_EQ(number(thief.pop()), 1U);
  EXPECT_EQ(number(victim.pop()), 4U);
  EXPECT_EQ(victim.size(), 1U);
  run_ring empty;
  EXPECT_EQ(empty.steal_half_into(victim), 0U);
}

TEST(RunRingStress, EveryFiberIsTakenOnce) {
  const std::uintptr_t count = static_cast<std::uintptr_t>(test::times(400'000));
  run_ring ring;
  std::vector<std::atomic<int>> taken(count + 1);
  std::atomic<bool> over{false};
  const auto note = [&](fiber* f) { taken[number(f)].fetch_add(1, std::memory_order_relaxed); };
  {
    std::vector<std::jthread> thieves;
    for (int t = 0; t < 3; ++t) {
      thieves.emplace_back([&] {
        const auto mine = std::make_unique<run_ring>();
        while (!over) {
          ring.steal_half_into(*mine);
          while (fiber* f = mine->pop()) note(f);
        }
      });
    }
    for (std::uintptr_t i = 1; i <= count; ++i) {
      while (!ring.push(numbered(i))) {
        if (fiber* f = ring.pop()) note(f);
      }
      if (i % 5 == 0) {
        if (fiber* f = ring.pop()) note(f);
      }
    }
    while (fiber* f = ring.pop()) note(f);
    while (ring.size() != 0) {
    }
    over = true;
  }
  for (std::uintptr_t i = 1; i <= count; ++i) ASSERT_EQ(taken[i], 1) << i;
}

}  // namespace
