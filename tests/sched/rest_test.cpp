// Fibers that rest: without a stack, until their function is called anew.

#include "sched/rest.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <gofer/go.hpp>
#include <gofer/runtime.hpp>

#include "sched/poller.hpp"
#include "sched/runtime.hpp"
#include "support/callers.hpp"
#include "support/memory.hpp"
#include "support/pipe_pair.hpp"

namespace {

using namespace std::chrono_literals;
using gofer::sched::poll_record;
using gofer::sched::poll_side;
using gofer::sched::runtime;
using gofer::sched::start_resting;
using gofer::sched::time_point;
using gofer::sched::waiter;

/// Where a fiber rests: like a descriptor's, the record outlives timers that are still set.
struct bed {
  bed() = default;
  bed(const bed&) = delete;
  bed& operator=(const bed&) = delete;
  ~bed() { runtime::get().network.close(pipe.ends[0], record); }
  std::uint32_t lie_down() { return record->readable.rest(self, "test rest", deadline); }
  poll_side& side() { return record->readable; }

  test::pipe_pair pipe;
  poll_record* record = runtime::get().network.open(pipe.ends[0]);
  std::atomic<time_point> deadline{gofer::sched::no_deadline};
  std::optional<waiter> self;
};

/// Waits for what other fibers and threads do, without ours.
template <class F>
void wait_for(F&& happened) {
  const auto end = std::chrono::steady_clock::now() + 60s;
  while (!happened() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(100us);
  EXPECT_TRUE(happened());
}

bool nobody_runs() {
  const auto now = gofer::stats();
  return now.runnable == 0 && now.fibers == now.parked;
}

TEST(Rest, CallsTheSameFunctionAnewWhenItIsWoken) {
  struct of_fiber {
    bed where;
    std::atomic<int> calls{0};
    std::vector<std::uint64_t> ids;
    std::vector<std::uint32_t> outcomes;
    std::atomic<bool> over{false};
  } f;
  start_resting("sleeper", [&f]() noexcept {
    ++f.calls;
    f.ids.push_back(gofer::this_fiber::id());
    EXPECT_EQ(gofer::this_fiber::name(), "sleeper");
    if (f.where.self) f.outcomes.push_back(f.where.self->outcome());
    if (f.calls <= 3) return f.where.lie_down() == waiter::pending;
    f.over = true;
    return false;
  });
  for (int i = 1; i <= 3; ++i) {
    wait_for([&] { return f.calls == i && nobody_runs(); });
    i == 2 ? f.where.side().nudge() : f.where.side().notify();
  }
  wait_for([&] { return f.over.load(); });
  EXPECT_EQ(f.outcomes, (std::vector<std::uint32_t>(3, waiter::woken)));
  EXPECT_EQ(f.ids, std::vector<std::uint64_t>(4, f.ids.front()));
}

TEST(Rest, EndsAtItsDeadlineAndNotWhereNothingIsToBeWaitedFor) {
  struct of_fiber {
    bed where;
    std::vector<std::uint32_t> outcomes;
    time_point due;
    std::atomic<bool> over{false};
  } f;
  f.due = std::chrono::steady_clock::now() + 20ms;
  start_resting("", [&f]() noexcept {
    if (f.where.self) {
      f.outcomes.push_back(f.where.self->outcome());
      EXPECT_GE(std::chrono::steady_clock::now(), f.due);
    } else {
      f.where.side().notify();
      f.outcomes.push_back(f.where.lie_down());  // there is something already
      f.where.deadline = time_point::min();
      f.outcomes.push_back(f.where.lie_down());
      f.where.deadline = f.due;
      f.outcomes.push_back(f.where.lie_down());
      return f.outcomes.back() == waiter::pending;
    }
    f.over = true;
    return false;
  });
  wait_for([&] { return f.over.load(); });
  EXPECT_EQ(f.outcomes,
            (std::vector<std::uint32_t>{waiter::woken, waiter::timed_out, waiter::pending, waiter::timed_out}));
}

TEST(Rest, KeepsWhatIsTheFibersAndDestroysItAtTheEnd) {
  bed where;
  const auto witness = std::make_shared<std::atomic<int>>(0);
  start_resting("", [&where, own = witness]() noexcept { return ++*own <= 3 && where.lie_down() == waiter::pending; });
  for (int i = 1; i <= 3; ++i) {
    wait_for([&] { return *witness == i && nobody_runs(); });
    EXPECT_EQ(witness.use_count(), 2);
    where.side().notify();
  }
  wait_for([&] { return witness.use_count() == 1; });
}

TEST(Rest, NeedsNoStack) {
  if (test::sanitized) GTEST_SKIP() << "sanitizers have memory of their own";
  NEEDS_A_NEW_RUNTIME();
  constexpr int count = 100'000;
  struct place {
    poll_side side;
    std::optional<waiter> self;
  };
  const std::atomic<time_point> never{gofer::sched::no_deadline};
  std::vector<place> places(count);
  const double before = test::resident_bytes();
  std::atomic<int> left{count};
  for (place& p : places) {
    start_resting("", [&p, &left, &never]() noexcept {
      if (!p.self) return p.side.rest(p.self, "test rest", never) == waiter::pending;
      --left;
      return false;
    });
  }
  wait_for(nobody_runs);
  EXPECT_LT((test::resident_bytes() - before) / count, 400);
  for (place& p : places) p.side.notify();
  wait_for([&] { return left == 0; });
}

// Whoever wakes a fiber may do so before it has left its stack, and from anywhere; nobody may come to the stack before.
TEST(RestStress, IsWokenAtAnyMoment) {
  constexpr int count = 50;
  const int rounds = test::times(4000);
  struct of_fiber {
    bed where;
    int round = 0;
  };
  std::vector<of_fiber> fibers(count);
  std::atomic<int> left{count};
  for (of_fiber& f : fibers) {
    start_resting("", [&]() noexcept {
      std::byte frame[512];
      for (std::byte& b : frame) b = static_cast<std::byte>(f.round);
      asm volatile("" : : "r"(frame) : "memory");
      if (f.round % 7 == 0) gofer::yield();
      for (const std::byte b : frame) EXPECT_EQ(b, static_cast<std::byte>(f.round));
      while (++f.round < rounds) {
        f.where.deadline = f.round % 5 == 0 ? std::chrono::steady_clock::now() + 20us : gofer::sched::no_deadline;
        if (f.where.lie_down() == waiter::pending) return true;
      }
      --left;
      return false;
    });
  }
  test::run_in(test::callers::mixed, 4, [&](int i) {
    for (auto k = static_cast<std::size_t>(i); left != 0; k = (k + 3) % count) {
      k % 2 == 0 ? fibers[k].where.side().notify() : fibers[k].where.side().nudge();
      gofer::yield();
    }
  });
  for (const of_fiber& f : fibers) EXPECT_EQ(f.round, rounds);
}

}  // namespace
