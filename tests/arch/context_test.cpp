#include "arch/context.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "arch/sanitizer.hpp"

namespace {

#if !defined(GOFER_ASAN) && !defined(GOFER_TSAN)  // they are not told of these bare switches

using gofer::arch::switch_context;

struct two_contexts {
  void* main_sp = nullptr;
  void* other_sp = nullptr;
  std::vector<int> order;
};

void alternate(void* transfer) {
  auto& c = *static_cast<two_contexts*>(transfer);
  for (int i = 0;; ++i) {
    c.order.push_back(100 + i);
    switch_context(&c.other_sp, c.main_sp, &c);
  }
}

TEST(Context, SwitchesBackAndForth) {
  std::vector<std::byte> stack(64 * 1024);
  two_contexts c;
  c.other_sp = gofer::arch::make_context(stack.data() + stack.size(), alternate);
  for (int i = 0; i < 3; ++i) {
    c.order.push_back(i);
    EXPECT_EQ(switch_context(&c.main_sp, c.other_sp, &c), &c);
  }
  EXPECT_EQ(c.order, (std::vector<int>{0, 100, 1, 101, 2, 102}));
}

void check_alignment(void* transfer) {
  auto& c = *static_cast<two_contexts*>(transfer);
  alignas(16) volatile char local[16];
  c.order.push_back(static_cast<int>(reinterpret_cast<std::uintptr_t>(&local) % 16));
  switch_context(&c.other_sp, c.main_sp, nullptr);
}

TEST(Context, StartsOnAnAlignedStackWhateverTheTop) {
  std::vector<std::byte> stack(64 * 1024);
  for (int cut = 0; cut < 33; ++cut) {
    two_contexts c;
    c.other_sp = gofer::arch::make_context(stack.data() + stack.size() - cut, check_alignment);
    switch_context(&c.main_sp, c.other_sp, &c);
    EXPECT_EQ(c.order, std::vector<int>{0}) << "cut by " << cut;
  }
}

#endif

}  // namespace
