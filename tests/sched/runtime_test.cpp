#include <gofer/runtime.hpp>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <stdexcept>
#include <thread>

#include <gofer/go.hpp>

#include "support/callers.hpp"

namespace {

TEST(Configure, SetsTheProcessorsAndTheStacks) {
  NEEDS_A_NEW_RUNTIME();
  gofer::configure({.processors = 3, .stack_size = 100'000});
  EXPECT_EQ(gofer::processors(), 3U);
  gofer::run([] {});
  EXPECT_EQ(gofer::processors(), 3U);
  EXPECT_EQ(gofer::stats().processors, 3U);
}

TEST(Configure, ThrowsOnceTheRuntimeRuns) {
  gofer::run([] {});
  EXPECT_THROW(gofer::configure({.processors = 1}), std::logic_error);
}

TEST(Configure, ThrowsForSizesThatCannotBe) {
  NEEDS_A_NEW_RUNTIME();
  EXPECT_THROW(gofer::configure({.processors = 1'000'000}), std::invalid_argument);
  EXPECT_THROW(gofer::configure({.stack_size = std::size_t{1} << 40}), std::invalid_argument);
}

TEST(Stats, CountWhatHappens) {
  gofer::run([] {
    const auto before = gofer::stats();
    std::latch done(100);
    for (int i = 0; i < 100; ++i) {
      gofer::go([&] {
        gofer::sleep_for(std::chrono::milliseconds(1));
        done.count_down();
      });
    }
    gofer::blocking([&] { done.wait(); });
    const auto after = gofer::stats();
    EXPECT_EQ(after.started - before.started, 100U);
    EXPECT_GE(after.parks - before.parks, 100U);
    EXPECT_GE(after.switches, after.parks);
    EXPECT_GE(after.handoffs - before.handoffs, 1U);
    EXPECT_GE(after.fibers, 1U);
  });
}

// Workers fall asleep and are taken for work all the time here. An interrupt meant for one thread in the poller must
// not be swallowed by another that has just come to sleep there.
TEST(RuntimeStress, AThreadThatWakesAnIdleRuntimeIsServed) {
  test::run_in(test::callers::threads, 3, [](int i) {
    for (int k = 0; k < test::times(3000); ++k) {
      EXPECT_EQ(gofer::run([k] { return k; }), k);
      if (k % 7 == i) std::this_thread::sleep_for(std::chrono::microseconds(20 * i));
    }
  });
}

TEST(Runtime, AForkedChildMayExec) {
  gofer::run([] {
    for (int i = 0; i < 10; ++i) {
      gofer::go([] { gofer::sleep_for(std::chrono::milliseconds(1)); });  // others go on meanwhile
      const pid_t child = fork();
      if (child == 0) {
        execl("/bin/sh", "sh", "-c", "exit 7", nullptr);
        _exit(1);
      }
      int status = 0;
      ASSERT_EQ(gofer::blocking([&] { return waitpid(child, &status, 0); }), child);
      EXPECT_TRUE(WIFEXITED(status));
      EXPECT_EQ(WEXITSTATUS(status), 7);
    }
  });
}

TEST(RuntimeDeathTest, AForkedChildMayNotUseIt) {
  EXPECT_DEATH(
      {
        gofer::run([] {});
        const pid_t child = fork();
        if (child == 0) {
          gofer::run([] {});
          _exit(0);
        }
        int status = 0;
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) std::abort();
      },
      "after fork; once the runtime has started, a child may only exec");
}

TEST(RuntimeDeathTest, ExitInAFiberEndsTheProgram) {
  EXPECT_EXIT(gofer::run([] { std::exit(3); }), testing::ExitedWithCode(3), "");
}

TEST(RuntimeDeathTest, FibersStillParkedWhenMainReturnsAreAbandoned) {
  EXPECT_EXIT(
      {
        for (int i = 0; i < 100; ++i) gofer::go([] { gofer::sleep_for(std::chrono::hours(1)); });
        for (int i = 0; i < 4; ++i) {
          gofer::go([] {
            for (;;) gofer::yield();
          });
        }
        gofer::sleep_for(std::chrono::milliseconds(5));
        std::exit(0);
      },
      testing::ExitedWithCode(0), "");
}

TEST(RuntimeDeathTest, AWrongGoferProcsIsReportedAndIgnored) {
  EXPECT_EXIT(
      {
        setenv("GOFER_PROCS", "many", 1);
        gofer::run([] {});
        std::exit(gofer::processors() >= 1 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "GOFER_PROCS is \"many\", but has to be a number from 1 to");
}

TEST(RuntimeDeathTest, GoferProcsSetsTheProcessors) {
  EXPECT_EXIT(
      {
        setenv("GOFER_PROCS", "5", 1);
        gofer::run([] {});
        std::exit(gofer::stats().processors == 5 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(RuntimeDeathTest, ThereAreNoMoreProcessorsThanCpusThatItMayUse) {
  EXPECT_EXIT(
      {
        unsetenv("GOFER_PROCS");
        cpu_set_t one{};
        CPU_SET(static_cast<std::size_t>(sched_getcpu()), &one);
        sched_setaffinity(0, sizeof(one), &one);
        gofer::run([] {});
        std::exit(gofer::stats().processors == 1 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
