#include <gofer/debug.hpp>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <latch>
#include <map>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include <gofer/gofer.hpp>

#include "arch/sanitizer.hpp"
#include "debug/call_stack.hpp"
#include "sched/rest.hpp"
#include "sched/runtime.hpp"
#include "support/callers.hpp"
#include "support/child_output.hpp"

namespace {

using namespace std::chrono_literals;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

constexpr bool tsan = gofer::arch::contexts_are_kept;

/// What `write(descriptor)` writes.
template <class F>
std::string written(F&& write) {
  std::array<int, 2> ends{};
  EXPECT_EQ(pipe(ends.data()), 0);
  std::string all;
  std::jthread reader([&] {
    std::array<char, 4096> part{};
    for (ssize_t got = 0; (got = read(ends[0], part.data(), part.size())) > 0;) {
      all.append(part.data(), static_cast<std::size_t>(got));
    }
  });
  write(ends[1]);
  close(ends[1]);
  reader.join();
  close(ends[0]);
  return all;
}

template <class F>
void wait_until(F&& holds) {
  while (!holds()) std::this_thread::sleep_for(1ms);
}

TEST(Dump, SaysThatThereAreNoFibers) {
  NEEDS_A_NEW_RUNTIME();
  EXPECT_EQ(written([](int fd) { gofer::debug::dump(fd); }), "gofer: no fiber has been started\n");
}

[[gnu::noinline]] void wait_here(gofer::latch& gate) {
  gate.wait();
  asm volatile("");  // no tail call
}

[[gnu::noinline]] void compute_here(const std::atomic<bool>& stop) {
  while (!stop) {
  }
  asm volatile("");  // no tail call
}

/// A fiber that waits and one that computes, until it goes.
class two_fibers {
 public:
  two_fibers() {
    all_.go([&] {
      gofer::this_fiber::set_name("waits");
      wait_here(gate_);
    });
    all_.go([&] {
      gofer::this_fiber::set_name("computes");
      computing_.count_down();
      compute_here(stop_);
    });
    computing_.wait();
    wait_until([] { return gofer::stats().parked >= 1; });
    std::this_thread::sleep_for(120ms);
  }
  ~two_fibers() {
    stop_ = true;
    gate_.count_down();
    all_.wait();
  }

 private:
  gofer::latch gate_{1};
  std::latch computing_{1};
  std::atomic<bool> stop_{false};
  gofer::wait_group all_;
};

TEST(Dump, ShowsWhatFibersDo) {
  const two_fibers fibers;
  const std::string seen = written([](int fd) { gofer::debug::dump(fd); });
  EXPECT_THAT(seen, ContainsRegex("fiber [0-9]+ \"waits\" waiting 0\\.[1-9] s in latch::wait"));
  EXPECT_THAT(seen, ContainsRegex("fiber [0-9]+ \"computes\" running"));
  EXPECT_THAT(seen, HasSubstr("gofer: 2 fibers"));
  if (gofer::debug::can_walk_stacks()) {
    EXPECT_THAT(seen, HasSubstr("wait_here"));
    if (!gofer::arch::signals_come_late) {
      EXPECT_THAT(seen, HasSubstr("compute_here"));
    }
  }
}

TEST(ForEachFiber, TellsWhatFibersDo) {
  const two_fibers fibers;
  const auto look = [](bool in_fiber) {
    std::map<std::string, gofer::debug::fiber_info> seen;
    const auto note = [&] { gofer::debug::for_each_fiber([&](const auto& f) { seen[f.name] = f; }); };
    if (in_fiber) {
      gofer::async([&] { gofer::blocking(note); }).get();
    } else {
      note();
    }
    return seen;
  };
  for (const bool in_fiber : {false, true}) {
    auto seen = look(in_fiber);
    EXPECT_EQ(seen.size(), in_fiber ? 3U : 2U);
    EXPECT_EQ(seen["waits"].state, gofer::debug::fiber_state::waiting);
    EXPECT_EQ(seen["waits"].operation, "latch::wait");
    EXPECT_GE(seen["waits"].since, 100ms);
    EXPECT_NE(seen["waits"].id, 0U);
    EXPECT_EQ(seen["computes"].state, gofer::debug::fiber_state::running);
    EXPECT_EQ(seen["computes"].operation, "");
    EXPECT_THAT(seen["computes"].started_at, MatchesRegex("(debug_test.cpp:[0-9]+)?"));
  }
  EXPECT_THROW(gofer::debug::for_each_fiber([](const auto&) { throw std::runtime_error("enough"); }),
               std::runtime_error);
}

// A handler of the program's own is left alone, and so are threads that have the signal blocked.
TEST(Dump, DoesWithoutTheStacksOfThoseThatRunIfNeedBe) {
  std::atomic<bool> stop{false};
  std::latch computing(1);
  gofer::go([&] {
    sigset_t urgent;
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    pthread_sigmask(SIG_BLOCK, &urgent, nullptr);
    computing.count_down();
    compute_here(stop);
    pthread_sigmask(SIG_UNBLOCK, &urgent, nullptr);
    stop = false;
  });
  computing.wait();
  const auto seen = [] { return written([](int fd) { gofer::debug::dump(fd); }); };
  EXPECT_THAT(seen(), ContainsRegex("fiber [0-9]+ running.*\n\n"));
  struct sigaction before{};
  struct sigaction own{};
  own.sa_handler = [](int) { std::abort(); };
  sigaction(SIGURG, &own, &before);
  EXPECT_THAT(seen(), ContainsRegex("fiber [0-9]+ running.*\n\n"));
  sigaction(SIGURG, &before, nullptr);  // before the signal that is pending there
  stop = true;
  wait_until([&] { return !stop; });
}

TEST(Dump, IsWholeWhateverTheDescriptorIs) {
  gofer::latch go_on(1);
  gofer::wait_group all;
  constexpr int fibers = 1000;
  for (int i = 0; i < fibers; ++i) all.go([&] { go_on.wait(); });
  const std::string text = written([](int fd) {
    ASSERT_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    gofer::debug::dump(fd);
  });
  EXPECT_THAT(text, ContainsRegex("gofer: [0-9]+ fibers\n"));
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  close(ends[0]);
  gofer::debug::dump(ends[1]);  // nobody reads it
  close(ends[1]);
  go_on.count_down();
  all.wait();
}

// Fibers run, are woken, start and finish all the time while they are looked at.
TEST(DumpStress, OfFibersThatComeAndGo) {
  std::atomic<bool> stop{false};
  gofer::wait_group all;
  for (int i = 0; i < 20; ++i) {
    all.go([&] {
      while (!stop) {
        gofer::chan<int> ch;
        gofer::go([ch] { ch.send(1); });
        EXPECT_EQ(ch.receive(), 1);
        gofer::sleep_for(10us);
      }
    });
  }
  for (int i = 0; i < test::times(100); ++i) {
    EXPECT_THAT(written([](int fd) { gofer::debug::dump(fd); }), HasSubstr("fibers\n"));
  }
  stop = true;
  all.wait();
}

TEST(Dump, IsWrittenOnSigquitAndTheProgramGoesOn) {
  if (!test::is_child()) {
    const auto end = test::run_again(test::this_test());
    EXPECT_TRUE(end.exited_with(0)) << end.output;
    EXPECT_THAT(end.output, ContainsRegex("fiber [0-9]+ \"sleeper\" waiting [0-9.]+ s in sleep"));
    return;
  }
  gofer::go({.name = "sleeper"}, [] { gofer::sleep_for(1h); });
  wait_until([] { return gofer::stats().parked == 1; });
  // It goes to standard error some time after the signal: what comes there is read here, and passed on at the end.
  const int real = dup(STDERR_FILENO);
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  ASSERT_EQ(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
  raise(SIGQUIT);
  std::string seen;
  std::array<char, 4096> part{};
  while (seen.find("fibers\n") == std::string::npos) {
    seen.append(part.data(), static_cast<std::size_t>(read(ends[0], part.data(), part.size())));
  }
  EXPECT_EQ(write(real, seen.data(), seen.size()), static_cast<ssize_t>(seen.size()));
}

class Deadlock : public testing::Test {
 protected:
  void SetUp() override {
    if (tsan) GTEST_SKIP() << "ThreadSanitizer has a thread of its own, which could be anybody's";
  }
};

TEST_F(Deadlock, IsReportedWithWhoWaitsForWhat) {
  if (!test::is_child()) {
    for (const char* watch : {"GOFER_LOCK_ORDER=0", "GOFER_LOCK_ORDER=1"}) {
      const auto end = test::run_again(test::this_test(), watch);
      EXPECT_TRUE(end.aborted()) << end.output;
      EXPECT_THAT(end.output, HasSubstr("gofer: all fibers are asleep: deadlock\n\n"));
      EXPECT_THAT(end.output, ContainsRegex("fiber [0-9]+ \"indexer\" waiting [0-9.]+ s in mutex::lock"));
      EXPECT_THAT(end.output, ContainsRegex("thread [0-9]+ waiting [0-9.]+ s in wait_group::wait"));
      if (std::string(watch).ends_with("1")) {
        EXPECT_THAT(end.output, ContainsRegex("for what fiber [0-9]+ \"other\" holds"));
      } else {
        EXPECT_THAT(end.output, HasSubstr("run with GOFER_LOCK_ORDER=1"));
      }
    }
    return;
  }
  gofer::mutex a;
  gofer::mutex b;
  gofer::latch both(2);
  gofer::wait_group all;
  const auto lock = [&](const char* name, gofer::mutex& first, gofer::mutex& second) {
    gofer::this_fiber::set_name(name);
    const std::scoped_lock hold(first);
    both.arrive_and_wait();
    second.lock();
  };
  all.go([&] { lock("indexer", a, b); });
  all.go([&] { lock("other", b, a); });
  all.wait();
}

TEST_F(Deadlock, OfPlainThreadsAloneIsReportedToo) {
  if (!test::is_child()) {
    const auto end = test::run_again(test::this_test());
    EXPECT_TRUE(end.aborted()) << end.output;
    EXPECT_THAT(end.output, ContainsRegex("thread [0-9]+ waiting [0-9.]+ s in chan::receive"));
    return;
  }
  gofer::run([] {});
  const gofer::chan<int> ch;
  ch.receive();
}

// The rest would be deadlocks but for one thing that can end them.
class NoDeadlock : public Deadlock {
 protected:
  /// The child goes on for longer than a deadlock takes to be found, and is not aborted.
  void expect_quiet() {
    const auto end = test::run_again(test::this_test());
    EXPECT_TRUE(end.exited_with(0)) << end.output;
    EXPECT_EQ(end.output, "");
  }
  static constexpr auto long_enough = 1500ms;
};

TEST_F(NoDeadlock, WhileAThreadCouldWakeAFiber) {
  if (!test::is_child()) return expect_quiet();
  gofer::chan<int> ch;
  std::jthread other([&] {
    std::this_thread::sleep_for(long_enough);
    ch.send(1);
  });
  EXPECT_EQ(gofer::run([&] { return ch.receive(); }), 1);
}

TEST_F(NoDeadlock, WhileATimerIsSet) {
  if (!test::is_child()) return expect_quiet();
  gofer::chan<int> ch;
  gofer::timer alarm(long_enough, [&] { ch.send(1); });
  EXPECT_EQ(gofer::run([&] { return ch.receive(); }), 1);
}

TEST_F(NoDeadlock, WhileAFiberBlocksItsThread) {
  if (!test::is_child()) return expect_quiet();
  gofer::chan<int> ch;
  gofer::go([&] {
    gofer::blocking([] { std::this_thread::sleep_for(long_enough); });
    ch.send(1);
  });
  EXPECT_EQ(gofer::run([&] { return ch.receive(); }), 1);
}

TEST_F(NoDeadlock, WhileASignalIsWaitedFor) {
  if (!test::is_child()) return expect_quiet();
  auto signals = gofer::notify_signals({SIGALRM});
  alarm(2);
  EXPECT_EQ(gofer::run([&] { return signals.receive(); }), SIGALRM);
}

TEST_F(NoDeadlock, WhileASocketIsWaitedFor) {
  if (!test::is_child()) return expect_quiet();
  std::array<int, 2> ends{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()), 0);
  if (fork() == 0) {  // not a thread of this process
    usleep(1'500'000);
    [[maybe_unused]] const auto written = write(ends[1], "x", 1);
    _exit(0);
  }
  auto& network = gofer::sched::runtime::get().network;
  auto* record = network.open(ends[0]);
  const std::atomic<gofer::sched::time_point> never{gofer::sched::no_deadline};
  gofer::run([&] {
    char byte = 0;
    while (read(ends[0], &byte, 1) < 0) record->readable.wait("test", never);
    EXPECT_EQ(byte, 'x');
  });
}

/// A fiber that waits without a stack, in a place that outlives it.
struct rester {
  gofer::sched::poll_side side;
  std::atomic<gofer::sched::time_point> deadline{gofer::sched::no_deadline};
  std::optional<gofer::sched::waiter> self;
  gofer::wait_group over;

  rester() {
    over.add(1);
    gofer::sched::start_resting("rests", [this]() noexcept {
      if (!self && side.rest(self, "test rest", deadline) == gofer::sched::waiter::pending) return true;
      over.done();
      return false;
    });
  }
};

TEST_F(NoDeadlock, WhileAFiberRests) {
  if (!test::is_child()) return expect_quiet();
  rester fiber;
  std::this_thread::sleep_for(long_enough);
  fiber.side.notify();
  fiber.over.wait();
}

TEST(Dump, ShowsAFiberThatRests) {
  rester fiber;
  wait_until([] { return gofer::stats().parked == 1; });
  EXPECT_THAT(written([](int fd) { gofer::debug::dump(fd); }),
              ContainsRegex("fiber [0-9]+ \"rests\" waiting 0\\.[0-9] s in test rest"));
  fiber.side.notify();
  fiber.over.wait();
}

TEST(LockOrder, AnInversionThatDidNotHangIsReportedOnceWithBothStacks) {
  if (!test::is_child()) {
    const auto end = test::run_again(test::this_test(), "GOFER_LOCK_ORDER=1");
    EXPECT_TRUE(end.exited_with(0)) << end.output;
    const std::string what = "two locks are taken in opposite orders";
    EXPECT_THAT(end.output, HasSubstr(what));
    EXPECT_EQ(end.output.find(what), end.output.rfind(what)) << end.output;
    EXPECT_THAT(end.output, ContainsRegex("fiber [0-9]+ \"one\" locked 0x"));
    EXPECT_THAT(end.output, ContainsRegex("fiber [0-9]+ \"two\" locked 0x"));
    EXPECT_EQ(test::run_again(test::this_test(), "GOFER_LOCK_ORDER=0").output, "");
    return;
  }
  gofer::mutex a;
  gofer::shared_mutex b;
  gofer::run([&] {
    gofer::this_fiber::set_name("one");
    const std::scoped_lock first(a);
    const std::shared_lock second(b);
  });
  for (int i = 0; i < 3; ++i) {
    gofer::run([&] {
      gofer::this_fiber::set_name("two");
      const std::scoped_lock first(b);
      const std::scoped_lock second(a);
    });
  }
}

TEST(LockOrder, TheSameOrderEverywhereAndLocksThatCannotHangAreNot) {
  if (!test::is_child()) {
    EXPECT_EQ(test::run_again(test::this_test(), "GOFER_LOCK_ORDER=1").output, "");
    return;
  }
  for (int i = 0; i < 3; ++i) {
    gofer::mutex a;
    gofer::mutex b;
    gofer::run([&] {
      const std::scoped_lock first(a);
      const std::scoped_lock second(b);
    });
    gofer::run([&] { const std::scoped_lock together(b, a); });
    gofer::run([&] {
      const std::scoped_lock first(b);
      EXPECT_TRUE(a.try_lock_for(1s));
      a.unlock();
    });
  }
}

TEST(LockOrder, LockingTwiceAbortsAndSaysSo) {
  if (!test::is_child()) {
    const auto end = test::run_again(test::this_test(), "GOFER_LOCK_ORDER=1");
    EXPECT_TRUE(end.aborted());
    EXPECT_THAT(end.output, ContainsRegex("fiber [0-9]+ \"main\" locks 0x[0-9a-f]+ again while it has it"));
    return;
  }
  gofer::mutex m;
  gofer::run([&] {
    m.lock();
    m.lock();
  });
}

[[gnu::noinline]] int deeper(int n) {  // NOLINT(misc-no-recursion)
  volatile char some[256];
  some[0] = static_cast<char>(n);
  return n == 0 ? 0 : deeper(n + 1) + some[0];
}

TEST(Overflow, IsReportedByName) {
  if (!test::is_child()) {
    const auto end = test::run_again(test::this_test());
    EXPECT_TRUE(end.aborted()) << end.output;
    EXPECT_THAT(end.output, ContainsRegex("the stack of fiber [0-9]+ \"deep\" has overflowed its 64 KiB"));
    if (gofer::debug::can_walk_stacks() && !tsan) {
      EXPECT_THAT(end.output, HasSubstr("deeper"));
    }
    return;
  }
  gofer::go({.name = "deep", .stack_size = 64 * 1024}, [] { deeper(1); });
  std::this_thread::sleep_for(10s);
}

TEST(Overflow, OtherFaultsAreLeftToWhoHandledThem) {
  if (!test::is_child()) {
    const auto end = test::run_again(test::this_test());
    EXPECT_TRUE(end.exited_with(7)) << end.output;
    EXPECT_THAT(end.output, Not(HasSubstr("overflowed")));
    return;
  }
  signal(SIGSEGV, [](int) { _exit(7); });
  gofer::run([] { raise(SIGSEGV); });
}

TEST(Overflow, ASignalThatWasSentEndsTheProgramAsEver) {
  if (!test::is_child()) {
    EXPECT_FALSE(test::run_again(test::this_test()).exited_with(7));
    return;
  }
  gofer::run([] {
    kill(getpid(), SIGSEGV);
    gofer::sleep_for(5s);
  });
  _exit(7);
}

// The alarm looks at one thing after another, while a timer that was the last thing to hope for ends the wait, and all
// falls asleep again.
TEST(NoDeadlockStress, WhileTimersEndTheWaitsOfAThread) {
  for (int round = 0; round < 400; ++round) {
    gofer::chan<int> ch;
    gofer::go([=] {
      gofer::sleep_for(2ms + std::chrono::microseconds(25 * (round % 200)));
      ch.send(round);
    });
    ASSERT_EQ(ch.receive(), round);
  }
}

}  // namespace
