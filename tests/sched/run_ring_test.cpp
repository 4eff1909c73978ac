#include "sched/run_ring.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <gofer/detail/arch/asymmetric_fence.hpp>

#include "support/callers.hpp"
#include "support/numbered_fibers.hpp"

namespace {

using gofer::sched::fiber;
using gofer::sched::run_ring;

TEST(RunRing, IsFirstInFirstOutAndBounded) {
  test::numbered_fibers fibers(run_ring::capacity + 1);
  run_ring ring;
  EXPECT_EQ(ring.pop(), nullptr);
  for (std::size_t i = 1; i <= run_ring::capacity; ++i) EXPECT_TRUE(ring.push(fibers[i]));
  EXPECT_FALSE(ring.push(fibers[run_ring::capacity + 1]));
  for (std::size_t i = 1; i <= run_ring::capacity; ++i) EXPECT_EQ(ring.pop(), fibers[i]);
  EXPECT_EQ(ring.pop(), nullptr);
}

TEST(RunRing, AThiefTakesTheOlderHalf) {
  test::numbered_fibers fibers(5);
  run_ring victim;
  run_ring thief;
  for (std::size_t i = 1; i <= 5; ++i) victim.push(fibers[i]);
  EXPECT_EQ(victim.steal_half_into(thief), 3U);
  EXPECT_EQ(thief.pop(), fibers[1]);
  EXPECT_EQ(victim.pop(), fibers[4]);
  EXPECT_EQ(victim.size(), 1U);
  run_ring empty;
  EXPECT_EQ(empty.steal_half_into(victim), 0U);
}

TEST(RunRing, IsItsOwnersAloneWhileNobodySteals) {
  test::numbered_fibers fibers(2);
  run_ring ring;
  run_ring thief;
  EXPECT_EQ(ring.alone(), gofer::arch::has_membarrier);
  ring.push(fibers[1]);
  ring.push(fibers[2]);
  EXPECT_EQ(ring.steal_half_into(thief), 1U);
  EXPECT_FALSE(ring.alone());
  EXPECT_EQ(ring.pop(), fibers[2]);
  for (int i = 0; i < 1'000'000; ++i) {
    ring.push(fibers[2]);
    ASSERT_EQ(ring.pop(), fibers[2]);
  }
  EXPECT_EQ(ring.alone(), gofer::arch::has_membarrier);
}

TEST(RunRingStress, EveryFiberIsTakenOnceWhereThievesComeAndGo) {
  constexpr std::size_t count = 100;
  test::numbered_fibers fibers(count);
  run_ring ring;
  std::vector<std::atomic<bool>> inside(count + 1);
  const auto took = [&](fiber* f) { EXPECT_TRUE(inside[fibers.number(f)].exchange(false)); };
  std::size_t next = 0;
  const auto push_and_pop = [&] {  // of three, two come out again
    next = next % count + 1;
    if (!inside[next].exchange(true)) ring.push(fibers[next]);
    if (next % 3 == 0) return;
    if (fiber* f = ring.pop()) took(f);
  };
  std::atomic<int> to_steal{0};
  std::atomic<bool> over{false};
  {
    std::vector<std::jthread> thieves;
    for (int t = 0; t < 2; ++t) {
      thieves.emplace_back([&] {
        const auto mine = std::make_unique<run_ring>();
        while (!over) {
          if (const int left = to_steal; left <= 0) {
            to_steal.wait(left);
            continue;
          }
          if (ring.steal_half_into(*mine) != 0) --to_steal;
          while (fiber* f = mine->pop()) took(f);
        }
      });
    }
    for (int round = 0; round < test::times(40); ++round) {
      while (gofer::arch::has_membarrier && !ring.alone()) push_and_pop();
      to_steal = 1 + round % 20;
      to_steal.notify_all();
      while (to_steal > 0) push_and_pop();
    }
    over = true;
    to_steal = 1'000;  // none of them waits any more
    to_steal.notify_all();
  }
  while (fiber* f = ring.pop()) took(f);
  for (std::size_t i = 1; i <= count; ++i) EXPECT_FALSE(inside[i]) << i;
}

TEST(RunRingStress, EveryFiberIsTakenOnce) {
  constexpr int rounds = 8;
  const auto count = static_cast<std::size_t>(test::times(50'000));
  test::numbered_fibers fibers(count);
  run_ring ring;
  std::vector<std::atomic<int>> taken(count + 1);
  std::atomic<bool> over{false};
  const auto note = [&](fiber* f) { taken[fibers.number(f)].fetch_add(1, std::memory_order_relaxed); };
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
    for (int round = 0; round < rounds; ++round) {
      for (std::size_t i = 1; i <= count; ++i) {
        while (!ring.push(fibers[i])) {
          if (fiber* f = ring.pop()) note(f);
        }
        if (i % 5 == 0) {
          if (fiber* f = ring.pop()) note(f);
        }
      }
    }
    while (fiber* f = ring.pop()) note(f);
    while (ring.size() != 0) {
    }
    over = true;
  }
  for (std::size_t i = 1; i <= count; ++i) ASSERT_EQ(taken[i], rounds) << i;
}

}  // namespace
