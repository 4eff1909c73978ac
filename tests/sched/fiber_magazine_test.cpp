#include "sched/fiber_magazine.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace {

using gofer::sched::fiber;
using gofer::sched::fiber_magazine;

TEST(FiberMagazine, GivesTheNewestAndGivesUpTheOldest) {
  std::vector<fiber> fibers(fiber_magazine::capacity);
  fiber_magazine magazine;
  EXPECT_EQ(magazine.pop(), nullptr);
  for (fiber& f : fibers) magazine.push(&f);
  EXPECT_EQ(magazine.size(), fibers.size());
  const auto oldest = magazine.take_oldest<3>();
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(oldest[i], &fibers[i]);
  for (std::size_t i = fibers.size(); i-- > 3;) ASSERT_EQ(magazine.pop(), &fibers[i]);
  EXPECT_EQ(magazine.pop(), nullptr);
}

}  // namespace
