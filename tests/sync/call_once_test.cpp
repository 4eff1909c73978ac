#include <gofer/call_once.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

#include "support/callers.hpp"

namespace {

using CallOnce = test::ForCallers;
FOR_ALL_CALLERS(CallOnce);

TEST_P(CallOnce, CallsOnceAndLetsTheOthersWait) {
  gofer::once_flag once;
  int calls = 0;
  test::run_in(GetParam(), 20, [&](int) {
    gofer::call_once(
        once,
        [&](int n) {
          gofer::sleep_for(std::chrono::milliseconds(2));
          calls += n;
        },
        1);
    EXPECT_EQ(calls, 1);
  });
}

TEST_P(CallOnce, ACallThatThrowsIsTriedByTheNext) {
  gofer::once_flag once;
  std::atomic<int> threw{0};
  int calls = 0;
  test::run_in(GetParam(), 10, [&](int) {
    try {
      gofer::call_once(once, [&] {
        if (++calls < 4) throw std::runtime_error("not yet");
      });
    } catch (const std::runtime_error&) {
      ++threw;
    }
  });
  EXPECT_EQ(threw, 3);
  EXPECT_EQ(calls, 4);
}

TEST_P(CallOnce, StressManyFlags) {
  std::vector<gofer::once_flag> flags(static_cast<std::size_t>(test::times(5000)));
  std::atomic<int> calls{0};
  test::run_in(GetParam(), 6, [&](int) {
    for (auto& flag : flags) gofer::call_once(flag, [&] { ++calls; });
  });
  EXPECT_EQ(calls, static_cast<int>(flags.size()));
}

}  // namespace
