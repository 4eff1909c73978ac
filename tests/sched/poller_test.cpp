#include "sched/poller.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <gofer/go.hpp>
#include <gofer/runtime.hpp>
#include <gofer/wait_group.hpp>

#include "sched/runtime.hpp"
#include "support/callers.hpp"
#include "support/pipe_pair.hpp"

namespace {

std::uint32_t wait_until(gofer::sched::poll_side& side, gofer::sched::time_point deadline) {
  const std::atomic<gofer::sched::time_point> at{deadline};
  return side.wait("test", at);
}

using namespace std::chrono_literals;
using gofer::sched::poll_record;
using gofer::sched::runtime;
using gofer::sched::waiter;
using test::pipe_pair;

char read_one(poll_record* record, int fd) {
  const std::atomic<gofer::sched::time_point> never{gofer::sched::no_deadline};
  for (;;) {
    char c = 0;
    if (read(fd, &c, 1) == 1) return c;
    record->readable.wait("test read", never);
  }
}

TEST(Poller, WakesAFiberAndAThreadWhenADescriptorIsReadable) {
  for (const auto kind : {test::callers::fibers, test::callers::threads}) {
    pipe_pair p;
    poll_record* record = runtime::get().network.open(p.ends[0]);
    test::run_in(kind, 1, [&](int) {
      std::jthread writer([&] {
        std::this_thread::sleep_for(5ms);
        EXPECT_EQ(write(p.ends[1], "x", 1), 1);
      });
      EXPECT_EQ(read_one(record, p.ends[0]), 'x');
    });
    runtime::get().network.close(p.ends[0], record);
  }
}

TEST(Poller, AWaitEndsAtItsDeadlineAndLeavesNothingBehind) {
  pipe_pair p;
  poll_record* record = runtime::get().network.open(p.ends[0]);
  gofer::run([&] {
    EXPECT_EQ(wait_until(record->readable, std::chrono::steady_clock::now() + 5ms), waiter::timed_out);
    EXPECT_EQ(write(p.ends[1], "y", 1), 1);
    EXPECT_EQ(read_one(record, p.ends[0]), 'y');
  });
  runtime::get().network.close(p.ends[0], record);
}

// The timer of the first wait stays set, and must neither end a later one early nor hold up one with an earlier
// deadline.
TEST(Poller, DeadlinesMayComeInAnyOrder) {
  pipe_pair p;
  poll_record* record = runtime::get().network.open(p.ends[0]);
  gofer::run([&] {
    const auto begin = std::chrono::steady_clock::now();
    for (const auto after : {20ms, 60ms, 30ms, 0ms, 5ms, 40ms}) {
      record->readable.notify();
      EXPECT_EQ(wait_until(record->readable, begin + 10s), waiter::woken);
      const auto at = std::chrono::steady_clock::now() + after;
      EXPECT_EQ(wait_until(record->readable, at), waiter::timed_out);
      EXPECT_GE(std::chrono::steady_clock::now(), at);
    }
    EXPECT_EQ(wait_until(record->readable, gofer::sched::time_point::min()), waiter::timed_out);
    EXPECT_LT(std::chrono::steady_clock::now(), begin + 9s);
  });
  runtime::get().network.close(p.ends[0], record);
}

TEST(PollerStress, DeadlinesRaceWithWhatComes) {
  test::run_in(test::callers::mixed, 8, [](int i) {
    pipe_pair p;
    for (int k = 0; k < test::times(20); ++k) {  // each time with a record that was another's
      poll_record* record = runtime::get().network.open(p.ends[0]);
      std::atomic<bool> over{false};
      gofer::wait_group notifying;
      notifying.go([&] {
        while (!over) {
          record->readable.notify();
          gofer::yield();
        }
      });
      for (int n = 0; n < 200; ++n) {
        wait_until(record->readable, std::chrono::steady_clock::now() + std::chrono::microseconds((n * 7 + i) % 50));
      }
      over = true;
      notifying.wait();
      runtime::get().network.close(p.ends[0], record);
    }
  });
}

// Run in a process of its own, where no fiber has started a worker.
TEST(Poller, ServesAPlainThreadInAProgramWithoutFibers) {
  pipe_pair p;
  poll_record* record = runtime::get().network.open(p.ends[0]);
  std::jthread writer([&] {
    std::this_thread::sleep_for(2ms);
    EXPECT_EQ(write(p.ends[1], "x", 1), 1);
  });
  EXPECT_EQ(wait_until(record->readable, std::chrono::steady_clock::now() + 20s), waiter::woken);
  writer.join();
  runtime::get().network.close(p.ends[0], record);
}

TEST(Poller, RefusesADescriptorThatCannotBeWatched) {
  EXPECT_THROW(runtime::get().network.open(-1), std::system_error);
}

// A deadline that is moved between the look at it and the wait must not be missed.
TEST(PollerStress, AMovedDeadlineIsNeverMissed) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe2(ends.data(), O_NONBLOCK), 0);
  auto& network = gofer::sched::runtime::get().network;
  auto* record = network.open(ends[0]);
  std::atomic<gofer::sched::time_point> deadline{gofer::sched::no_deadline};
  std::atomic<int> round{0};
  std::jthread mover([&] {
    for (int i = 1; i <= test::times(20'000); ++i) {
      while (round.load() != i) {
      }
      for (int k = 0; k < i % 100; ++k) gofer::arch::pause();  // each time at another moment of the wait's beginning
      deadline = std::chrono::steady_clock::now();
      record->readable.nudge();
    }
  });
  for (int i = 1; i <= test::times(20'000); ++i) {
    deadline = gofer::sched::no_deadline;
    round = i;
    while (std::chrono::steady_clock::now() < deadline.load()) record->readable.wait("test", deadline);
  }
  mover.join();
  network.close(ends[0], record);
  close(ends[0]);
  close(ends[1]);
}

TEST(PollerStress, PingPongOverPipes) {
  constexpr int pairs = 20;
  const int rounds = test::times(2000);
  test::run_in(test::callers::mixed, pairs, [&](int) {
    pipe_pair there;
    pipe_pair back;
    auto& network = runtime::get().network;
    poll_record* a = network.open(there.ends[0]);
    poll_record* b = network.open(back.ends[0]);
    std::atomic<bool> answered{false};
    gofer::go([&] {
      for (int i = 0; i < rounds; ++i) {
        const char c = read_one(a, there.ends[0]);
        EXPECT_EQ(write(back.ends[1], &c, 1), 1);
      }
      answered = true;
    });
    for (int i = 0; i < rounds; ++i) {
      const char c = static_cast<char>(i);
      EXPECT_EQ(write(there.ends[1], &c, 1), 1);
      EXPECT_EQ(read_one(b, back.ends[0]), c);
    }
    while (!answered) gofer::yield();
    network.close(there.ends[0], a);
    network.close(back.ends[0], b);
  });
}

/// How often the monitor has gone to sleep.
long monitor_looks() {
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    if (name != "gofer-monitor") continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("voluntary_ctxt_switches:")) return std::stol(line.substr(line.find(':') + 1));
    }
  }
  ADD_FAILURE() << "no monitor";
  return 0;
}

TEST(Poller, IsLeftToAProcessorThatTakesLongForOneRound) {
  if (test::sanitized) GTEST_SKIP() << "is about how often a thread wakes, which sanitizers change";
  NEEDS_A_NEW_RUNTIME();
  gofer::configure({.processors = 1});
  constexpr int count = 64;  // a round of all is longer than the time after which the monitor looks at sockets itself
  std::array<pipe_pair, count> pipes;
  std::array<poll_record*, count> records{};
  auto& network = runtime::get().network;
  for (int i = 0; i < count; ++i) records[i] = network.open(pipes[i].ends[0]);
  std::atomic<bool> stop{false};
  gofer::wait_group all;
  for (int i = 0; i < count; ++i) {
    all.go([&, i] {
      for (bool last = false; !last;) {
        last = read_one(records[i], pipes[i].ends[0]) == 'z';
        const auto begin = std::chrono::steady_clock::now();
        while (std::chrono::steady_clock::now() - begin < 60us) {
        }
        EXPECT_EQ(write(pipes[(i + 1) % count].ends[1], last || stop ? "z" : "x", 1), 1);
      }
    });
  }
  for (const pipe_pair& p : pipes) EXPECT_EQ(write(p.ends[1], "x", 1), 1);
  std::this_thread::sleep_for(50ms);
  const auto begin = std::chrono::steady_clock::now();
  const long before = monitor_looks();
  std::this_thread::sleep_for(300ms);
  const long looks = monitor_looks() - before;
  const auto milliseconds = (std::chrono::steady_clock::now() - begin) / 1ms;
  stop = true;
  all.wait();
  EXPECT_LT(looks, 2 * milliseconds);
  for (int i = 0; i < count; ++i) network.close(pipes[i].ends[0], records[i]);
}

}  // namespace
