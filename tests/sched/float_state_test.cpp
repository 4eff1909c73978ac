#include <gtest/gtest.h>

#include <cfenv>
#include <vector>

#include <gofer/gofer.hpp>

namespace {

/// What the vector unit does, whatever <cfenv> says: the direction in which a third is rounded.
bool thirds_are_rounded_up() {
  const volatile double one = 1;
  const volatile double three = 3;
  const volatile double third = one / three;
  const volatile double nearest = 0x1.5555555555555p-2;
  return third > nearest;
}

TEST(FloatState, TheRoundingModeIsTheFibers) {
  constexpr int rounds = 100;
  gofer::wait_group both;
  both.go([] {
    std::fesetround(FE_UPWARD);
    for (int i = 0; i < rounds; ++i) {
      gofer::yield();
      EXPECT_EQ(std::fegetround(), FE_UPWARD);
      EXPECT_TRUE(thirds_are_rounded_up());
    }
  });
  both.go([] {
    for (int i = 0; i < rounds; ++i) {
      gofer::yield();
      EXPECT_EQ(std::fegetround(), FE_TONEAREST);
      EXPECT_FALSE(thirds_are_rounded_up());
    }
  });
  both.wait();
}

TEST(FloatState, AFiberStartsRoundingToNearestWhoeverRanBefore) {
  gofer::wait_group all;
  for (int i = 0; i < 100; ++i) {
    all.go([i] {
      EXPECT_EQ(std::fegetround(), FE_TONEAREST);
      EXPECT_FALSE(thirds_are_rounded_up());
      if (i % 2 == 0) std::fesetround(FE_UPWARD);
    });
  }
  all.wait();
}

}  // namespace
