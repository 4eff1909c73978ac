#include "sched/run_pace.hpp"

#include <gtest/gtest.h>

namespace {

using gofer::sched::run_pace;

/// As if there had been so many switches, one every `each`.
void run(run_pace& pace, std::uint64_t& time, unsigned& switches, unsigned count, std::uint64_t each) {
  for (unsigned i = 0; i < count; ++i) {
    time += each;
    static_cast<void>(pace.time_for(0, time, ++switches));
  }
}

TEST(RunPace, IsWhatRunsHaveTakenOfLate) {
  run_pace pace;
  std::uint64_t time = 1'000'000'000;
  unsigned switches = 0;
  EXPECT_GT(pace.time_for(0, time, switches), 10'000'000U) << "of a processor that has yet to run anything";
  run(pace, time, switches, 3 * run_pace::window, 100);
  EXPECT_NEAR(static_cast<double>(pace.time_for(0, time, switches)), 100, 5);
  EXPECT_NEAR(static_cast<double>(pace.time_for(9, time, switches)), 1000, 50);
}

TEST(RunPace, SeesALongRunWhileItLasts) {
  run_pace pace;
  std::uint64_t time = 0;
  unsigned switches = 0;
  run(pace, time, switches, 3 * run_pace::window, 100);
  EXPECT_GE(pace.time_for(0, time + 1'000'000, switches), 1'000'000U / (run_pace::window + 1));
}

TEST(RunPace, BelievesInShortRunsOnlyAfterManyOfThem) {
  run_pace pace;
  std::uint64_t time = 0;
  unsigned switches = 0;
  run(pace, time, switches, 3 * run_pace::window, 100'000);
  run(pace, time, switches, run_pace::window / 2, 100);
  EXPECT_GE(pace.time_for(0, time, switches), 50'000U);
  run(pace, time, switches, 2 * run_pace::window, 100);
  EXPECT_LE(pace.time_for(0, time, switches), 110U);
}

TEST(RunPace, TakesAClockThatJumpsBackForALongRun) {
  run_pace pace;
  std::uint64_t time = 1'000'000;
  unsigned switches = 0;
  run(pace, time, switches, 3 * run_pace::window, 100);
  EXPECT_GT(pace.time_for(0, time - 500'000, switches), 1'000'000'000U);
}

}  // namespace
