#include "sched/processor.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "support/callers.hpp"
#include "support/numbered_fibers.hpp"

namespace {

using gofer::sched::processor;
using gofer::sched::run_ring;

TEST(Processor, TheRingGetsItsTurn) {
  const auto p = std::make_unique<processor>(0, false);
  test::numbered_fibers fibers(2);
  for (unsigned i = 0; i < processor::next_budget; ++i) {
    p->next.exchange(fibers[1]);
    p->ring.push(fibers[2]);
    EXPECT_EQ(p->pop(), fibers[1]);
  }
  p->next.exchange(fibers[1]);
  EXPECT_EQ(p->pop(), fibers[2]);
  EXPECT_EQ(p->pop(), fibers[1]);
}

/// A worker that finds nothing goes to sleep, so it must find what is in `next` even if thieves take all of the ring
/// between the look at its length and the pop.
TEST(ProcessorStress, NextIsFoundAlthoughTheRingIsStolen) {
  const auto p = std::make_unique<processor>(0, false);
  test::numbered_fibers fibers(2);
  std::atomic<bool> over{false};
  std::jthread thief([&] {
    const auto mine = std::make_unique<run_ring>();
    while (!over) {
      if (p->ring.steal_half_into(*mine) != 0) mine->pop();
    }
  });
  const int rounds = test::times(2'000'000);
  int lost = 0;
  for (int i = 0; i < rounds; ++i) {
    p->next_in_a_row.set(processor::next_budget);
    p->ring.push(fibers[2]);
    p->next.exchange(fibers[1]);
    if (p->pop() == nullptr) ++lost;
    while (p->pop() != nullptr) {
    }
  }
  over = true;
  EXPECT_EQ(lost, 0);
}

}  // namespace
