// Classic faults, one each: exploring finds them, and the seed repeats them.

#include <gtest/gtest.h>

#include <string>

#include <gofer/testing.hpp>

#include "arch/sanitizer.hpp"
#include "testing/seeded/faults.hpp"

namespace {

struct seeded_bug {
  const char* name;
  void (*body)();
};

class SeededBugs : public testing::TestWithParam<seeded_bug> {};

TEST_P(SeededBugs, IsFoundAndRepeated) {
  const auto body = GetParam().body;
  std::uint64_t seed = 0;
  std::string cause;
  try {
    gofer::testing::explore(body, {.schedules = 10'000});
    FAIL() << "no schedule of 10,000 failed";
  } catch (const gofer::testing::schedule_failure& found) {
    seed = found.seed();
    cause = found.what();
    cause = cause.substr(cause.find(": ") + 2);
    RecordProperty("schedule", static_cast<int>(found.schedule()));
  }
#if defined(GOFER_TSAN) || defined(GOFER_ASAN)
  constexpr int repetitions = 3;
#else
  constexpr int repetitions = 100;
#endif
  for (int i = 0; i < repetitions; ++i) {
    try {
      gofer::testing::replay(seed, body);
      FAIL() << "the schedule passed";
    } catch (const gofer::testing::schedule_failure& again) {
      const std::string text = again.what();
      ASSERT_EQ(text.substr(text.find(": ") + 2), cause);  // to the step
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Classic, SeededBugs,
    testing::Values(seeded_bug{"LostWakeUp", seeded::lost_wake_up}, seeded_bug{"CheckThenAct", seeded::check_then_act},
                    seeded_bug{"Aba", seeded::aba},
                    seeded_bug{"DoubleCheckedInitialization", seeded::double_checked_initialization},
                    seeded_bug{"LockOrder", seeded::lock_order}, seeded_bug{"UnlockTooEarly", seeded::unlock_too_early},
                    seeded_bug{"WaitGroupAddedTooLate", seeded::wait_group_added_too_late},
                    seeded_bug{"ChannelClosedTwice", seeded::channel_closed_twice},
                    seeded_bug{"SelectLeavingAWaiterBehind", seeded::select_leaving_a_waiter_behind},
                    seeded_bug{"LeakedTimer", seeded::leaked_timer}, seeded_bug{"MutexTimeout", seeded::mutex_timeout},
                    seeded_bug{"RemoveWorker", seeded::remove_worker},
                    seeded_bug{"StopWhileSubmitting", seeded::stop_while_submitting},
                    seeded_bug{"NotifyOneOfTwoKinds", seeded::notify_one_of_two_kinds},
                    seeded_bug{"TaskTakenTwice", seeded::task_taken_twice},
                    seeded_bug{"UpgradeOfASharedLock", seeded::upgrade_of_a_shared_lock},
                    seeded_bug{"BarrierUsedAgain", seeded::barrier_used_again}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
