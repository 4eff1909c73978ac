#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <latch>
#include <string>
#include <thread>

#include <gofer/go.hpp>
#include <gofer/latch.hpp>
#include <gofer/runtime.hpp>
#include <gofer/wait_group.hpp>

#include "arch/stack.hpp"
#include "support/callers.hpp"
#include "support/child_output.hpp"
#include "support/memory.hpp"

namespace {

using namespace std::chrono_literals;

double resident_mebibytes() { return test::resident_bytes() / (1 << 20); }

/// Starts `count` fibers, lets all of them run `before_waiting` and wait, and then go on; `meanwhile` runs while they
/// wait.
template <class F, class M>
void park(int count, F before_waiting, M meanwhile) {
  gofer::latch go_on(1);
  gofer::latch parked(count);
  gofer::wait_group fibers;
  for (int i = 0; i < count; ++i) {
    fibers.go([&] {
      before_waiting();
      parked.count_down();
      go_on.wait();
    });
  }
  parked.wait();
  meanwhile();
  go_on.count_down();
  fibers.wait();
}

TEST(Stacks, GiveTheirMemoryBackAfterABurst) {
  if (test::sanitized) GTEST_SKIP() << "the sanitizers keep memory of their own";
  constexpr int count = 2'000;
  const double before = resident_mebibytes();
  double at_peak = 0;
  const auto touch = [] {
    char deep[100'000];
    std::memset(deep, 1, sizeof(deep));
    asm volatile("" : : "r"(deep) : "memory");
  };
  park(count, touch, [&] { at_peak = resident_mebibytes(); });
  EXPECT_GT(at_peak - before, 150);
  const auto end = std::chrono::steady_clock::now() + 10s;
  while (resident_mebibytes() - before > 20 && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(50ms);
  EXPECT_LE(resident_mebibytes() - before, 20);
  park(count, touch, [] {});  // what was given back can be used again
}

TEST(Stacks, OfOlderKernelsAreGuardedTooAndTheLimitIsAClearError) {
  if (test::sanitized) GTEST_SKIP() << "the sanitizers need too much memory for this";
  NEEDS_A_NEW_RUNTIME();
  gofer::arch::force_mprotect_guards(true);
  std::string error;
  gofer::latch go_on(1);
  gofer::wait_group fibers;
  int started = 0;
  try {
    for (; started < 200'000; ++started) fibers.go([&] { go_on.wait(); });
  } catch (const std::system_error& e) {
    error = e.what();
  }
  EXPECT_GT(started, 1'000);
  EXPECT_NE(error.find("raise the sysctl vm.max_map_count"), std::string::npos) << error;
  go_on.count_down();
  fibers.wait();  // all that were started run to their end
}

TEST(Stacks, AStackThatCannotBeHadIsAnException) {
  EXPECT_THROW(gofer::go({.stack_size = std::size_t{1} << 47}, [] {}), std::system_error);
  EXPECT_EQ(gofer::run([] { return 1; }), 1);
}

/// Where a sanitizer allows fewer, the test says so.
constexpr int many = test::sanitized ? 2'000 : 1'000'000;

/// Destroyed as the last of the program. What comes then is the kernel's: to take four gigabytes back, a page at a
/// time, takes it half a second, or two on a virtual machine whose pages are dear.
struct last_act {
  std::chrono::steady_clock::time_point main_returned{};
  ~last_act() {
    if (main_returned == std::chrono::steady_clock::time_point{}) return;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - main_returned;
    std::fprintf(stderr, "the end took %.6f s\n", took.count());
  }
};
[[gnu::init_priority(101)]] last_act the_end;

/// A million fibers wait at once, a tenth of them goes on and waits again, and the program ends.
TEST(Ending, WithAMillionFibersParkedTakesNoTime) {
  if (!test::is_child()) {
    if (many != 1'000'000) std::printf("only %d fibers: a sanitizer is at work\n", many);
    const auto begin = std::chrono::steady_clock::now();
    const auto end = test::run_again(test::this_test());
    const std::chrono::duration<double> whole = std::chrono::steady_clock::now() - begin;
    EXPECT_TRUE(end.exited_with(0)) << end.output;
    const auto seconds = [&](const std::string& what) {
      const auto at = end.output.find(what);
      return at == std::string::npos ? -1 : std::stod(end.output.substr(at + what.size()));
    };
    const double until_parked = seconds("to park them took ");
    const double until_end = seconds("main took ");
    const double ending = seconds("the end took ");
    ASSERT_GE(std::min({until_parked, until_end, ending}), 0) << end.output;
    EXPECT_LT(ending, test::sanitized ? 5.0 : 0.5);
    if (test::sanitized) return;
    // And to take the memory back costs the kernel a small part of what it cost to give it.
    EXPECT_LT(whole.count() - until_end, until_parked / 2);
    return;
  }
  const double before = resident_mebibytes();
  const auto begin = std::chrono::steady_clock::now();
  auto& parked = *new gofer::latch(many);
  auto& go_on = *new gofer::latch(1);
  auto& parked_again = *new gofer::latch(many / 10);
  auto& never = *new gofer::latch(1);
  for (int i = 0; i < many; ++i) {
    gofer::go([&, goes_on = i % 10 == 0] {
      parked.count_down();
      if (goes_on) {
        go_on.wait();
        parked_again.count_down();
      }
      never.wait();
    });
  }
  parked.wait();
  const std::chrono::duration<double> until_parked = std::chrono::steady_clock::now() - begin;
  EXPECT_GE(gofer::stats().fibers, static_cast<std::uint64_t>(many));
  if (!test::sanitized) {
    EXPECT_LE((resident_mebibytes() - before) * (1 << 20) / many, 4500);
  }
  go_on.count_down();
  parked_again.wait();
  the_end.main_returned = std::chrono::steady_clock::now();
  const std::chrono::duration<double> until_end = the_end.main_returned - begin;
  std::fprintf(stderr, "to park them took %.6f s, main took %.6f s\n", until_parked.count(), until_end.count());
}

}  // namespace
