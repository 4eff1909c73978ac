// Classic faults, one each: exploring finds them, and the seed repeats them.

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <string>

#include <gofer/gofer.hpp>
#include <gofer/testing.hpp>

#include "arch/sanitizer.hpp"

namespace {

using namespace std::chrono_literals;

void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

void lost_wake_up() {
  gofer::mutex m;
  gofer::condition_variable changed;
  bool ready = false;
  gofer::wait_group one;
  one.go([&] {
    const std::scoped_lock hold(m);
    ready = true;
    changed.notify_one();
  });
  std::unique_lock hold(m);
  const bool seen = ready;
  hold.unlock();
  hold.lock();
  if (!seen) changed.wait(hold);  // it may have changed meanwhile
  hold.unlock();
  one.wait();
}

void check_then_act() {
  gofer::mutex m;
  int balance = 100;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      bool enough = false;
      {
        const std::scoped_lock hold(m);
        enough = balance >= 100;
      }
      if (!enough) return;
      const std::scoped_lock hold(m);
      balance -= 100;
    });
  }
  both.wait();
  require(balance >= 0, "overdrawn");
}

/// A stack of two nodes by index, without a count against ABA.
void aba() {
  gofer::testing::atomic<int> top = 0;
  std::array<gofer::testing::atomic<int>, 2> next{1, -1};
  std::array<gofer::testing::atomic<int>, 2> owners{};
  const auto pop = [&] {
    int seen = top.load();
    while (seen >= 0 && !top.compare_exchange_strong(seen, next.at(static_cast<std::size_t>(seen)))) {
    }
    if (seen >= 0) require(owners.at(static_cast<std::size_t>(seen)).fetch_add(1) == 0, "a node has two owners");
    return seen;
  };
  gofer::wait_group both;
  both.go([&] {
    int seen = top.load();
    if (seen != 0) return;
    const int after = next[0];
    if (top.compare_exchange_strong(seen, after)) owners[0].fetch_add(1);
    pop();
  });
  both.go([&] {
    const int first = pop();
    pop();  // and keeps it
    if (first != 0) return;
    owners[0].fetch_sub(1);
    next[0] = top.load();
    top.store(0);
  });
  both.wait();
}

void double_checked_initialization() {
  gofer::mutex m;
  gofer::testing::atomic<bool> made = false;
  gofer::testing::atomic<int> value = 0;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      if (!made.load()) {
        const std::scoped_lock hold(m);
        if (!made.load()) {
          made.store(true);  // too early
          value.store(42);
        }
      }
      require(value.load() == 42, "not initialized");
    });
  }
  both.wait();
}

void lock_order() {
  gofer::mutex a;
  gofer::mutex b;
  gofer::wait_group both;
  both.go([&] {
    const std::scoped_lock first(a);
    const std::scoped_lock second(b);
  });
  both.go([&] {
    const std::scoped_lock first(b);
    const std::scoped_lock second(a);
  });
  both.wait();
}

void unlock_too_early() {
  gofer::mutex m;
  int x = 0;
  int y = 0;
  gofer::wait_group both;
  both.go([&] {
    m.lock();
    x = 1;
    m.unlock();
    m.lock();
    y = 1;
    m.unlock();
  });
  both.go([&] {
    const std::scoped_lock hold(m);
    require(x == y, "half of an update was seen");
  });
  both.wait();
}

void wait_group_added_too_late() {
  gofer::wait_group tasks;
  gofer::testing::atomic<int> done = 0;
  gofer::wait_group ended;
  ended.go([&] {
    tasks.add();
    done.fetch_add(1);
    tasks.done();
  });
  tasks.wait();
  const int seen = done.load();
  ended.wait();
  require(seen == 1, "the wait ended before the task");
}

void channel_closed_twice() {
  gofer::chan<int> ch;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      if (!ch.closed()) ch.close();
    });
  }
  both.wait();
}

void select_leaving_a_waiter_behind() {
  gofer::chan<int> a;
  gofer::chan<int> b;
  gofer::chan<int> first(1);
  for (const auto& ch : {a, b}) {
    gofer::go([=] {
      if (const auto v = ch.receive()) first.try_send(*v);
    });
  }
  a.send(1);
  first.receive();
}

void leaked_timer() {
  gofer::chan<int> work(1);
  gofer::wait_group one;
  one.go([&] { work.send(1); });
  const auto limit = gofer::after(1h);
  gofer::select(gofer::on_receive(work), gofer::on_receive(limit));
  one.wait();
}

/// The lock is taken in another fiber, and nobody tells that one to give it back when the time is up.
void mutex_timeout() {
  gofer::mutex m;
  m.lock();
  gofer::wait_group helper;
  gofer::chan<int> locked(1);
  helper.go([&] {
    m.lock();
    locked.send(1);
  });
  gofer::wait_group holder;
  holder.go([&] {
    gofer::sleep_for(10ms);
    m.unlock();
  });
  std::optional<int> got;
  if (locked.receive_for(got, 10ms) == gofer::chan_status::ok) m.unlock();
  helper.wait();
  holder.wait();
  require(m.try_lock(), "a lock that timed out is held");
  m.unlock();
}

void remove_worker() {
  gofer::testing::atomic<int> workers = 2;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      if (workers.load() > 1) workers.fetch_sub(1);  // no fewer than one
    });
  }
  both.wait();
  require(workers.load() >= 1, "no worker is left");
}

void stop_while_submitting() {
  gofer::chan<int> tasks(1);
  gofer::testing::atomic<bool> stopped = false;
  gofer::wait_group both;
  both.go([&] {
    if (!stopped.load()) tasks.send(1);
  });
  both.go([&] {
    stopped.store(true);
    tasks.close();
  });
  both.wait();
}

void notify_one_of_two_kinds() {
  gofer::mutex m;
  gofer::condition_variable changed;  // of both
  int items = 0;
  gofer::wait_group all;
  const auto take = [&] {
    std::unique_lock hold(m);
    changed.wait(hold, [&] { return items > 0; });
    --items;
    changed.notify_one();
  };
  const auto put = [&] {
    std::unique_lock hold(m);
    changed.wait(hold, [&] { return items < 1; });
    ++items;
    changed.notify_one();
  };
  for (int i = 0; i < 2; ++i) {
    all.go(take);
    all.go(put);
  }
  all.wait();
}

void task_taken_twice() {
  gofer::testing::atomic<bool> taken = false;
  gofer::testing::atomic<int> runs = 0;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      if (taken.load()) return;
      taken.store(true);
      runs.fetch_add(1);
    });
  }
  both.wait();
  require(runs.load() == 1, "the task ran twice");
}

void upgrade_of_a_shared_lock() {
  gofer::shared_mutex m;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      const std::shared_lock reading(m);
      if (!m.try_lock_for(1h)) throw std::logic_error("nobody gave way");
      m.unlock();
    });
  }
  both.wait();
}

void barrier_used_again() {
  gofer::mutex m;
  gofer::condition_variable changed;
  int arrived = 0;
  gofer::wait_group both;
  for (int i = 0; i < 2; ++i) {
    both.go([&] {
      for (int round = 0; round < 2; ++round) {
        std::unique_lock hold(m);
        if (++arrived == 2) {
          arrived = 0;
          changed.notify_all();
        } else {
          changed.wait(hold, [&] { return arrived == 0; });  // the next round may have begun
        }
      }
    });
  }
  both.wait();
}

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
    testing::Values(seeded_bug{"LostWakeUp", lost_wake_up}, seeded_bug{"CheckThenAct", check_then_act},
                    seeded_bug{"Aba", aba}, seeded_bug{"DoubleCheckedInitialization", double_checked_initialization},
                    seeded_bug{"LockOrder", lock_order}, seeded_bug{"UnlockTooEarly", unlock_too_early},
                    seeded_bug{"WaitGroupAddedTooLate", wait_group_added_too_late},
                    seeded_bug{"ChannelClosedTwice", channel_closed_twice},
                    seeded_bug{"SelectLeavingAWaiterBehind", select_leaving_a_waiter_behind},
                    seeded_bug{"LeakedTimer", leaked_timer}, seeded_bug{"MutexTimeout", mutex_timeout},
                    seeded_bug{"RemoveWorker", remove_worker}, seeded_bug{"StopWhileSubmitting", stop_while_submitting},
                    seeded_bug{"NotifyOneOfTwoKinds", notify_one_of_two_kinds},
                    seeded_bug{"TaskTakenTwice", task_taken_twice},
                    seeded_bug{"UpgradeOfASharedLock", upgrade_of_a_shared_lock},
                    seeded_bug{"BarrierUsedAgain", barrier_used_again}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
