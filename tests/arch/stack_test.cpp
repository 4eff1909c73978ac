#include "arch/stack.hpp"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <vector>

#include "arch/sanitizer.hpp"

namespace {

using gofer::arch::page_size;
using gofer::arch::reserve_stacks;

TEST(Stack, IsWritableAboveItsGuard) {
  const std::size_t size = 16 * page_size();
  std::byte* stacks = reserve_stacks(size, 2);
  for (std::size_t i = page_size(); i < size; ++i) stacks[size + i] = std::byte{1};
  EXPECT_EQ(stacks[2 * size - 1], std::byte{1});
}

TEST(StackDeathTest, TouchingTheGuardIsAFault) {
  std::byte* stacks = reserve_stacks(16 * page_size(), 2);
  volatile std::byte* guard = stacks + 16 * page_size() + page_size() - 1;
  EXPECT_DEATH(*guard = std::byte{1}, "");
}

TEST(StackDeathTest, EveryStackOfManyHasItsGuard) {
  const std::size_t size = 4 * page_size();
  std::byte* stacks = reserve_stacks(size, 150);
  for (const std::size_t i : {0, 63, 64, 127, 128, 149}) {
    stacks[i * size + page_size()] = std::byte{1};
    volatile std::byte* guard = stacks + i * size + page_size() - 1;
    EXPECT_DEATH(*guard = std::byte{1}, "") << i;
  }
}

TEST(Stack, MemoryThatWasGivenBackIsGone) {
  const std::size_t size = 4 * page_size();
  constexpr std::size_t count = 150;
  std::byte* stacks = reserve_stacks(size, count);
  std::vector<std::byte*> odd;
  for (std::size_t i = 0; i < count; ++i) {
    stacks[i * size + page_size()] = stacks[(i + 1) * size - 1] = std::byte{1};
    if (i % 2 != 0) odd.push_back(stacks + i * size);
  }
  gofer::arch::give_back(odd, size);
  for (std::size_t i = 0; i < count; ++i) {
    const std::byte left{static_cast<unsigned char>(i % 2 == 0)};
    EXPECT_EQ(stacks[i * size + page_size()], left) << i;
    EXPECT_EQ(stacks[(i + 1) * size - 1], left) << i;
  }
}

TEST(Stack, OneWithLockedMemoryKeepsNoOtherFromBeingGivenBack) {
  const std::size_t size = 4 * page_size();
  std::byte* base = reserve_stacks(size, 5);
  std::vector<std::byte*> stacks;
  for (std::size_t i = 0; i < 5; ++i) {
    stacks.push_back(base + i * size);
    stacks[i][size - 1] = std::byte{1};
  }
  ASSERT_EQ(syscall(SYS_mlock, stacks[2] + size - page_size(), page_size()), 0);  // sanitizers lock nothing
  gofer::arch::give_back(stacks, size);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(stacks[i][size - 1], std::byte{static_cast<unsigned char>(i == 2)}) << i;
  }
}

TEST(StackDeathTest, TouchingTheGuardOfAnOlderKernelIsAFault) {
  gofer::arch::force_mprotect_guards(true);
  std::byte* stacks = reserve_stacks(16 * page_size(), 2);
  gofer::arch::force_mprotect_guards(false);
  volatile std::byte* guard = stacks + 16 * page_size();
  EXPECT_DEATH(*guard = std::byte{1}, "");
}

#if !defined(GOFER_TSAN) && !defined(GOFER_ASAN)  // they need mappings themselves, and give up without

TEST(Stack, RunsOutWithAClearError) {
  gofer::arch::force_mprotect_guards(true);
  try {
    for (int i = 0; i < 100; ++i) reserve_stacks(4 * page_size(), 1000);  // two mappings each, 65,530 are allowed
    ADD_FAILURE() << "no limit on mappings here";
  } catch (const std::exception& e) {
    EXPECT_NE(std::string(e.what()).find("vm.max_map_count"), std::string::npos) << e.what();
  }
  gofer::arch::force_mprotect_guards(false);
}

#endif

}  // namespace
