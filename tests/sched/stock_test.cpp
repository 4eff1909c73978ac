#include "sched/stock.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <vector>

using cold_stacks = gofer::sched::stock<std::byte>;

namespace {

/// Addresses that are nobody's; nothing is ever at them.
std::byte* address(std::uintptr_t number) { return reinterpret_cast<std::byte*>(number * 4096); }

cold_stacks::slab slab(std::uintptr_t first, std::size_t count) {
  auto made = cold_stacks::make_slab(count);
  for (std::size_t i = count; i-- > 0;) made.front().push_back(address(first + i));
  return made;
}

}  // namespace

TEST(Stock, GivesTheLowestOfASlabFirst) {
  cold_stacks cold;
  EXPECT_TRUE(cold.empty());
  cold.add(slab(1, 3));
  for (std::uintptr_t i = 1; i <= 3; ++i) {
    ASSERT_FALSE(cold.empty());
    EXPECT_EQ(cold.pop(), address(i));
  }
  EXPECT_TRUE(cold.empty());
}

TEST(Stock, GivesWhatCameLastFirst) {
  cold_stacks cold;
  cold.add(slab(1, 2));
  std::byte* one = cold.pop();
  std::byte* two = cold.pop();
  cold.push(one);
  cold.push(two);
  EXPECT_EQ(cold.pop(), two);
  EXPECT_EQ(cold.pop(), one);
}

TEST(Stock, HasRoomForAllThatEverCame) {
  cold_stacks cold;
  std::vector<std::byte*> taken;
  std::uintptr_t came = 1;
  // Slabs that come when others are empty, half full and full; of different sizes.
  for (const std::size_t leave : {0, 1, 3, 4, 7, 20}) {
    for (const std::size_t size : {1, 5, 8}) {
      cold.add(slab(came, size));
      came += size;
      while (!cold.empty()) taken.push_back(cold.pop());
      for (; taken.size() > leave; taken.pop_back()) cold.push(taken.back());
    }
  }
  for (; !taken.empty(); taken.pop_back()) cold.push(taken.back());
  std::set<std::byte*> all;
  while (!cold.empty()) EXPECT_TRUE(all.insert(cold.pop()).second) << "the same twice";
  EXPECT_EQ(all.size(), came - 1);
}
