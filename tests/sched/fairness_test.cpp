#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <mutex>
#include <semaphore>
#include <set>
#include <thread>
#include <vector>

#include <gofer/chan.hpp>
#include <gofer/go.hpp>
#include <gofer/latch.hpp>
#include <gofer/runtime.hpp>
#include <gofer/wait_group.hpp>

#include "sched/runtime.hpp"
#include "support/callers.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// Computes until told to stop.
void compute(const std::atomic<bool>& stop) {
  while (!stop.load(std::memory_order_relaxed)) {
  }
}

/// The longest time that a fiber which sleeps for a millisecond at a time was late by.
steady_clock::duration longest_delay(std::chrono::milliseconds watched) {
  steady_clock::duration longest{0};
  const auto end = steady_clock::now() + watched;
  while (steady_clock::now() < end) {
    const auto before = steady_clock::now();
    gofer::sleep_for(1ms);
    longest = std::max(longest, steady_clock::now() - before - 1ms);
  }
  return longest;
}

/// "About 20 ms", and what this machine's own scheduler may add when its cores are all busy.
constexpr auto bound = test::sanitized ? 400ms : 60ms;

class Starvation : public testing::TestWithParam<unsigned> {
 protected:
  void SetUp() override {
    NEEDS_A_NEW_RUNTIME();
    gofer::configure({.processors = GetParam()});
  }
  void TearDown() override { finish(); }

  /// Before what the fibers refer to is gone.
  void finish() {
    stop_ = true;
    all_.wait();
  }

  std::atomic<bool> stop_{false};
  gofer::wait_group all_;
};

TEST_P(Starvation, AFiberThatComputesDelaysNoTimer) {
  for (unsigned i = 0; i < GetParam(); ++i) all_.go([&] { compute(stop_); });
  EXPECT_LT(gofer::run([] { return longest_delay(500ms); }), bound);
  EXPECT_GE(gofer::stats().surplus_processors, 1U);
}

TEST_P(Starvation, NorDoesOneThatBlocksItsThread) {
  for (unsigned i = 0; i < GetParam(); ++i) {
    all_.go([&] {
      while (!stop_) usleep(100'000);  // a system call of which the runtime knows nothing
    });
  }
  EXPECT_LT(gofer::run([] { return longest_delay(500ms); }), bound);
}

TEST_P(Starvation, WhatAFiberMadeRunnableBeforeItComputesIsNotKept) {
  gofer::latch others(11 * static_cast<int>(GetParam()));
  std::latch computing(GetParam());
  for (unsigned i = 0; i < GetParam(); ++i) {
    all_.go([&] {
      for (int k = 0; k < 10; ++k) gofer::go([&] { others.count_down(); });  // in the ring
      const gofer::chan<int> ch;
      gofer::go([&others, ch] {
        EXPECT_EQ(ch.receive(), 1);
        others.count_down();
      });
      gofer::yield();
      ch.send(1);  // in the next slot
      computing.count_down();
      compute(stop_);
    });
  }
  computing.wait();
  const auto before = steady_clock::now();
  others.wait();
  EXPECT_LT(steady_clock::now() - before, bound);
  finish();
}

TEST_P(Starvation, SocketsAreServedWhileAllProcessorsCompute) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_NONBLOCK), 0);
  auto& network = gofer::sched::runtime::get().network;
  auto* record = network.open(ends[0]);
  const std::atomic<gofer::sched::time_point> never{gofer::sched::no_deadline};
  gofer::chan<steady_clock::time_point> arrived(1);
  std::latch waits(1);
  all_.go([&] {
    char byte = 0;
    waits.count_down();
    for (int i = 0; i < 20; ++i) {
      while (read(ends[0], &byte, 1) < 0) record->readable.wait("test", never);
      arrived.send(steady_clock::now());
    }
  });
  waits.wait();
  std::latch computing(GetParam());
  for (unsigned i = 0; i < GetParam(); ++i) {
    all_.go([&] {
      computing.count_down();
      compute(stop_);
    });
  }
  computing.wait();
  for (int i = 0; i < 20; ++i) {
    const auto sent = steady_clock::now();
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    EXPECT_LT(arrived.receive().value() - sent, bound);
  }
  finish();
  network.close(ends[0], record);
  close(ends[0]);
  close(ends[1]);
}

TEST_P(Starvation, APairThatWakesEachOtherLetsOthersRun) {
  for (unsigned i = 0; i < GetParam(); ++i) {
    gofer::chan<int> there;
    gofer::chan<int> back;
    all_.go([=, this] {
      while (!stop_) {
        there.send(1);
        back.receive();
      }
      there.close();
    });
    all_.go([=] {
      while (there.receive()) back.send(1);
    });
  }
  std::atomic<int> turns{0};
  all_.go([&] {
    while (!stop_) {
      ++turns;
      gofer::yield();
    }
  });
  std::this_thread::sleep_for(100ms);
  EXPECT_GT(turns, 100);
  finish();
}

/// What all threads of this process have computed: time that no other process takes any of.
std::chrono::nanoseconds computed() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

TEST_P(Starvation, MoreThanAProcessorHoldsAllGetTheirTurn) {
  if (test::sanitized) GTEST_SKIP() << "is about time";
  std::array<std::atomic<std::chrono::nanoseconds>, 1'000> longest{};
  std::latch ended(longest.size());
  const auto end = computed() + GetParam() * 600ms;
  for (auto& mine : longest) {
    all_.go([&] {
      auto before = computed();
      while (before < end) {
        gofer::yield();
        const auto now = computed();
        mine = std::max(mine.load(), now - before);
        before = now;
        while (computed() - now < 10us) {
        }
      }
      ended.count_down();
    });
  }
  ended.wait();
  for (const auto& gap : longest) EXPECT_LT(gap.load(), 3 * bound);
}

/// After many short runs one fiber wakes eight that compute for 3 ms each. On how many threads they ran.
std::size_t threads_for_longer_runs() {
  std::mutex lock;
  std::set<std::thread::id> threads;
  const gofer::chan<bool> begin;
  gofer::wait_group all;
  for (int i = 0; i < 8; ++i) {
    all.go([&] {
      EXPECT_FALSE(begin.receive());
      const auto end = steady_clock::now() + 3ms;
      while (steady_clock::now() < end) {
      }
      const std::scoped_lock hold(lock);
      threads.insert(std::this_thread::get_id());
    });
  }
  gofer::chan<int> there[2];
  for (const auto& ch : there) {
    all.go([=] {
      while (ch.receive()) {
      }
    });
  }
  // None runs for long, so nobody else is called to help; and the monitor has nothing to mend, and looks seldom.
  const auto end = steady_clock::now() + 100ms;
  for (int i = 0; steady_clock::now() < end; ++i) there[i % 2].send(i);
  begin.close();
  for (const auto& ch : there) ch.close();
  all.wait();
  return threads.size();
}

TEST(IdleProcessors, TakePartInWhatShortRunsWake) {
  NEEDS_A_NEW_RUNTIME();
  gofer::configure({.processors = 2});
  // Once will do: where other programs have the other core it may be too late to help.
  EXPECT_TRUE(gofer::run([] {
    for (int i = 0; i < 10; ++i) {
      if (threads_for_longer_runs() > 1) return true;
    }
    return false;
  }));
}

TEST_P(Starvation, SurplusProcessorsRetire) {
  for (unsigned i = 0; i < GetParam() + 2; ++i) all_.go([&] { compute(stop_); });
  gofer::run([] { longest_delay(100ms); });
  EXPECT_GE(gofer::stats().surplus_processors, 1U);
  stop_ = true;
  all_.wait();
  const auto end = steady_clock::now() + 5s;
  while (gofer::stats().surplus_processors != 0 && steady_clock::now() < end) {
    gofer::run([] { gofer::sleep_for(1ms); });
  }
  EXPECT_EQ(gofer::stats().surplus_processors, 0U);
}

INSTANTIATE_TEST_SUITE_P(With, Starvation, testing::Values(1U, 2U),
                         [](const auto& of) { return std::to_string(of.param) + "Processors"; });

TEST(SurplusProcessors, AreBounded) {
  NEEDS_A_NEW_RUNTIME();
  gofer::configure({.processors = 1, .surplus_processors = 2});
  std::atomic<bool> stop{false};
  std::atomic<int> computing{0};
  gofer::wait_group all;
  for (int i = 0; i < 6; ++i) {
    all.go([&] {
      ++computing;
      compute(stop);
    });
  }
  while (computing != 3) std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(300ms);  // long enough for a fourth
  EXPECT_EQ(computing, 3);
  EXPECT_EQ(gofer::stats().surplus_processors, 2U);
  stop = true;
  all.wait();
  EXPECT_EQ(computing, 6);
}

TEST(SurplusProcessors, ThoseThatHaveRetiredAreNotReplaced) {
  NEEDS_A_NEW_RUNTIME();
  gofer::configure({.processors = 1});
  std::atomic<bool> stop{false};
  gofer::wait_group all;
  for (int i = 0; i < 2; ++i) all.go([&] { compute(stop); });
  while (gofer::stats().surplus_processors == 0) std::this_thread::sleep_for(1ms);
  stop = true;
  all.wait();
  while (gofer::stats().surplus_processors != 0) gofer::run([] { gofer::yield(); });
  // More fibers than the processor's own ring holds, none of which runs for long. Its thread may lose its core for so
  // long that it seems to stand still, but not all the time.
  const auto threads_in = [](std::chrono::milliseconds watched) {
    std::mutex lock;
    std::set<std::thread::id> threads;
    const auto end = steady_clock::now() + watched;
    gofer::wait_group fibers;
    for (int i = 0; i < 1000; ++i) {
      fibers.go([&] {
        while (steady_clock::now() < end) {
          for (int k = 0; k < 10; ++k) gofer::yield();
          const std::scoped_lock hold(lock);
          threads.insert(std::this_thread::get_id());
        }
      });
    }
    fibers.wait();
    return threads.size();
  };
  const auto give_up = steady_clock::now() + 30s;
  while (threads_in(gofer::arch::contexts_are_kept ? 1000ms : 100ms) != 1) ASSERT_LT(steady_clock::now(), give_up);
}

TEST(SurplusProcessorsStress, ComeAndGo) {
  NEEDS_A_NEW_RUNTIME();
  gofer::configure({.processors = 2, .surplus_processors = 3});
  std::atomic<int> sum{0};
  gofer::wait_group all;
  for (int i = 0; i < 8; ++i) {
    all.go([&, i] {
      for (int k = 0; k < 10; ++k) {
        const auto end = steady_clock::now() + std::chrono::milliseconds(5 * (i + k) % 37);
        while (steady_clock::now() < end) {
        }
        gofer::wait_group some;
        for (int n = 0; n < 50; ++n) some.go([&] { ++sum; });
        some.wait();
        gofer::sleep_for(1ms);
      }
    });
  }
  all.wait();
  EXPECT_EQ(sum, 8 * 10 * 50);
}

/// A thread that sleeps until it is asked: how long an answer takes is what the machine needs at the moment to wake two
/// threads, which on a virtual one, and for some seconds after a process with gigabytes has ended, is milliseconds.
class sleeper {
 public:
  ~sleeper() {
    over_ = true;
    asked_.release();
  }
  steady_clock::duration answers_in() {
    const auto before = steady_clock::now();
    asked_.release();
    answered_.acquire();
    return steady_clock::now() - before;
  }

 private:
  std::binary_semaphore asked_{0};
  std::binary_semaphore answered_{0};
  std::atomic<bool> over_{false};
  std::jthread thread_{[this] {
    for (asked_.acquire(); !over_; asked_.acquire()) answered_.release();
  }};
};

TEST(Blocking, HandsItsProcessorOverAtOnce) {
  NEEDS_A_NEW_RUNTIME();
  gofer::configure({.processors = 1});
  sleeper bare;
  std::vector<steady_clock::duration> delays;  // beyond that of two threads that are woken
  gofer::run([&] {
    for (int i = 0; i < 21; ++i) {
      std::latch ran(1);
      gofer::go([&] { ran.count_down(); });
      const auto before = steady_clock::now();
      gofer::blocking([&] { ran.wait(); });
      const auto delay = steady_clock::now() - before;
      delays.push_back(delay - bare.answers_in());
    }
  });
  std::nth_element(delays.begin(), delays.begin() + 10, delays.end());
  EXPECT_LT(delays[10], test::sanitized ? 10ms : 2ms);
}

rusage used_by_all() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return used;
}

double cpu_seconds() {
  const rusage used = used_by_all();
  return static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

TEST(Idle, CostsNothing) {
#if defined(GOFER_TSAN)
  GTEST_SKIP() << "ThreadSanitizer has a thread that does not sleep for long";
#endif
  gofer::chan<int> never;
  gofer::go([=] { never.receive(); });
  std::this_thread::sleep_for(1500ms);  // until all has gone to sleep
  // A virtual machine is charged for what its host does meanwhile, milliseconds when that is short of memory. What the
  // program itself needs it needs at all times, so that the least of a few is the measure.
  double least = 1;
  for (int i = 0; i < 5 && least > 0.001 * 2; ++i) {
    const double before = cpu_seconds();
    std::this_thread::sleep_for(2s);
    least = std::min(least, cpu_seconds() - before);
  }
  EXPECT_LT(least, 0.001 * 2);
  never.close();
}

TEST(Idle, WhatRunsNowAndThenWakesFewThreads) {
  constexpr int times = 100;
  const long before = used_by_all().ru_nvcsw;
  gofer::run([] {
    for (int i = 0; i < times; ++i) gofer::sleep_for(10ms);
  });
  // The worker itself, another that watches the time meanwhile, and the monitor, which is not to look for more because
  // of so little.
  EXPECT_LT(used_by_all().ru_nvcsw - before, 10 * times);
}

}  // namespace
