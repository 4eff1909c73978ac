// What the primitives promise, under explored schedules.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <stdexcept>
#include <stop_token>
#include <system_error>
#include <vector>

#include <gofer/detail/sched/time.hpp>
#include <gofer/gofer.hpp>

#include "support/explored.hpp"

namespace {

using namespace std::chrono_literals;

using test::explored;

TEST(MutexExplored, ExcludesAndLosesNoWakeUp) {
  explored([] {
    gofer::mutex m;
    int inside = 0;
    gofer::wait_group all;
    for (int i = 0; i < 3; ++i) {
      all.go([&] {
        const std::scoped_lock hold(m);
        EXPECT_EQ(++inside, 1);
        gofer::yield();
        --inside;
      });
    }
    all.wait();
  });
}

TEST(MutexExplored, ATimeoutAndAHandOffLeaveItAsItWas) {
  explored([] {
    gofer::mutex m;
    gofer::wait_group all;
    for (int i = 0; i < 2; ++i) {
      all.go([&] {
        if (!m.try_lock_for(1ms)) return;
        gofer::sleep_for(1ms);
        m.unlock();
      });
    }
    all.wait();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
}

TEST(MutexExplored, AStopAndAHandOffLeaveItAsItWas) {
  explored([] {
    gofer::mutex m;
    std::stop_source stop;
    gofer::wait_group all;
    m.lock();
    all.go([&] {
      if (m.lock(stop.get_token())) m.unlock();
    });
    all.go([&] { stop.request_stop(); });
    m.unlock();
    all.wait();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
}

TEST(SharedMutexExplored, ReadersExcludeWriters) {
  explored([] {
    gofer::shared_mutex m;
    std::atomic<int> readers = 0;
    int writers = 0;
    gofer::wait_group all;
    for (int i = 0; i < 2; ++i) {
      all.go([&] {
        const std::shared_lock hold(m);
        ++readers;
        EXPECT_EQ(writers, 0);
        --readers;
      });
    }
    all.go([&] {
      const std::unique_lock hold(m);
      ++writers;
      gofer::yield();
      EXPECT_EQ(readers, 0);
      --writers;
    });
    all.wait();
  });
}

TEST(SharedMutexExplored, AWriterThatGivesUpLetsReadersIn) {
  explored([] {
    gofer::shared_mutex m;
    gofer::wait_group all;
    m.lock_shared();
    all.go([&] {
      if (m.try_lock_for(1ms)) m.unlock();
    });
    all.go([&] { const std::shared_lock hold(m); });
    all.wait();
    m.unlock_shared();
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
}

TEST(ConditionVariableExplored, NoNotificationIsLost) {
  explored([] {
    gofer::mutex m;
    gofer::condition_variable ready;
    int tokens = 0;
    gofer::wait_group all;
    for (int i = 0; i < 2; ++i) {
      all.go([&] {
        std::unique_lock hold(m);
        ready.wait(hold, [&] { return tokens > 0; });
        --tokens;
      });
    }
    for (int i = 0; i < 2; ++i) {
      const std::scoped_lock hold(m);
      ++tokens;
      ready.notify_one();
    }
    all.wait();
    EXPECT_EQ(tokens, 0);
  });
}

TEST(ConditionVariableExplored, ANotificationOfNothingChangesNothing) {
  explored([] {
    gofer::mutex m;
    gofer::condition_variable changed;
    bool ready = false;
    gofer::wait_group one;
    one.go([&] {
      changed.notify_all();  // without the lock: it may come when the other is in the queue, but not asleep yet
      {
        const std::scoped_lock hold(m);
        ready = true;
      }
      changed.notify_one();
    });
    std::unique_lock hold(m);
    changed.wait(hold, [&] { return ready; });
    hold.unlock();
    one.wait();
  });
}

TEST(ConditionVariableExplored, ATimeoutAndANotification) {
  explored([] {
    gofer::mutex m;
    gofer::condition_variable ready;
    bool set = false;
    gofer::wait_group one;
    one.go([&] {
      gofer::sleep_for(1ms);
      const std::scoped_lock hold(m);
      set = true;
      ready.notify_all();
    });
    std::unique_lock hold(m);
    const bool seen = ready.wait_for(hold, 1ms, [&] { return set; });
    EXPECT_EQ(seen, set);
    hold.unlock();
    one.wait();
  });
}

TEST(SemaphoreExplored, NeverAdmitsMoreThanItsPermits) {
  explored([] {
    gofer::counting_semaphore<> permits(2);
    std::atomic<int> inside = 0;
    gofer::wait_group all;
    for (int i = 0; i < 3; ++i) {
      all.go([&] {
        permits.acquire();
        EXPECT_LE(++inside, 2);
        gofer::yield();
        --inside;
        permits.release();
      });
    }
    all.wait();
  });
}

TEST(SemaphoreExplored, ATimeoutLosesNoPermit) {
  explored([] {
    gofer::counting_semaphore<> permits(0);
    bool taken = false;
    gofer::wait_group one;
    one.go([&] { taken = permits.try_acquire_for(1ms); });
    gofer::sleep_for(1ms);
    permits.release();
    one.wait();
    EXPECT_EQ(permits.try_acquire(), !taken);
  });
}

TEST(LatchExplored, ReleasesAllWaiters) {
  explored([] {
    gofer::latch open(2);
    std::atomic<int> through = 0;
    gofer::wait_group all;
    for (int i = 0; i < 2; ++i) {
      all.go([&] {
        open.wait();
        ++through;
      });
    }
    open.count_down();
    open.count_down();
    all.wait();
    EXPECT_EQ(through, 2);
  });
}

TEST(BarrierExplored, NobodyIsAPhaseAhead) {
  explored([] {
    gofer::barrier phase(2);
    std::atomic<int> arrived[2] = {0, 0};
    gofer::wait_group all;
    for (int i = 0; i < 2; ++i) {
      all.go([&, i] {
        for (int round = 1; round <= 2; ++round) {
          arrived[i] = round;
          phase.arrive_and_wait();
          EXPECT_GE(arrived[1 - i], round);
        }
      });
    }
    all.wait();
  });
}

TEST(WaitGroupExplored, CanBeUsedAgainAfterAWait) {
  explored([] {
    gofer::wait_group tasks;
    std::atomic<int> done = 0;
    for (int round = 1; round <= 2; ++round) {
      for (int i = 0; i < 2; ++i) tasks.go([&] { ++done; });
      tasks.wait();
      EXPECT_EQ(done, 2 * round);
    }
  });
}

TEST(CallOnceExplored, RunsOnceAndAgainAfterAThrow) {
  explored([] {
    gofer::once_flag flag;
    int calls = 0;
    gofer::wait_group all;
    for (int i = 0; i < 3; ++i) {
      all.go([&] {
        try {
          gofer::call_once(flag, [&] {
            gofer::yield();
            if (++calls == 1) throw 1;
          });
        } catch (int) {
        }
      });
    }
    all.wait();
    EXPECT_EQ(calls, 2);
  });
}

TEST(ChannelExplored, EveryValueArrivesOnceAndInOrder) {
  for (const std::size_t capacity : {0U, 1U}) {
    explored([=] {
      gofer::chan<int> ch(capacity);
      gofer::wait_group senders;
      for (int s = 0; s < 2; ++s) {
        senders.go([=] {
          ch.send(10 * s + 1);
          ch.send(10 * s + 2);
        });
      }
      gofer::wait_group closer;
      closer.go([&] {
        senders.wait();
        ch.close();
      });
      std::multiset<int> got;
      int last[2] = {0, 0};
      for (const int v : ch) {
        got.insert(v);
        EXPECT_LT(last[v / 10], v);
        last[v / 10] = v;
      }
      EXPECT_EQ(got, (std::multiset<int>{1, 2, 11, 12}));
      closer.wait();
    });
  }
}

TEST(ChannelExplored, ASendAgainstACloseIsSentOrRefused) {
  explored([] {
    gofer::chan<std::unique_ptr<int>> ch;
    bool refused = false;
    gofer::wait_group all;
    all.go([&] {
      try {
        ch.send(std::make_unique<int>(1));
      } catch (const gofer::channel_closed&) {
        refused = true;
      }
    });
    all.go([&] { ch.close(); });
    const std::optional<std::unique_ptr<int>> got = ch.receive();
    all.wait();
    EXPECT_EQ(got.has_value(), !refused);
  });
}

TEST(ChannelExplored, ATimeoutAgainstAHandOffLosesNothing) {
  explored([] {
    gofer::chan<int> ch;
    bool sent = false;
    gofer::wait_group one;
    one.go([&] {
      gofer::sleep_for(1ms);
      sent = ch.send_for(1, 1ms);
    });
    std::optional<int> got;
    const auto status = ch.receive_for(got, 2ms);
    one.wait();
    EXPECT_EQ(sent, got.has_value());
    EXPECT_EQ(status == gofer::chan_status::ok, sent);
  });
}

TEST(SelectExplored, TakesExactlyOneAndLeavesNoWaiter) {
  explored([] {
    gofer::chan<int> a;
    gofer::chan<int> b;
    std::atomic<int> got = 0;
    gofer::wait_group all;
    for (const auto& ch : {a, b}) {
      all.go([ch, &got] {
        if (ch.send_for(1, 1ms)) ++got;
      });
    }
    int received = 0;
    gofer::select(gofer::on_receive(a, [&](std::optional<int>) { ++received; }),
                  gofer::on_receive(b, [&](std::optional<int>) { ++received; }));
    all.wait();
    EXPECT_EQ(received, 1);
    EXPECT_EQ(got, 1);
  });
}

TEST(SelectExplored, SeesAStopAtAnyTime) {
  explored([] {
    const gofer::chan<int> ch;
    auto task = gofer::context::background().with_cancel();
    gofer::wait_group all;
    all.go([&] { task.cancel(); });
    std::optional<int> got;
    std::size_t chosen = 0;
    all.go([&] {
      chosen = gofer::select(gofer::on_receive(ch, [&](std::optional<int> v) { got = v; }), gofer::on_done(task));
    });
    const bool sent = ch.send_for(1, 1ms);
    all.wait();
    EXPECT_EQ(sent, got.has_value());
    EXPECT_EQ(sent, chosen == 0);
  });
}

TEST(SelectExplored, TwoOnTheSameTwoChannelsMeetInOneOfThem) {
  std::set<std::size_t> met_in;
  for (const std::size_t capacity : {0U, 1U}) {
    explored([&] {
      const gofer::chan<int> a(capacity);
      const gofer::chan<int> b(capacity);
      std::optional<int> got[2];
      std::size_t chosen[2] = {};
      gofer::wait_group both;
      both.go([&] {
        chosen[0] =
            gofer::select(gofer::on_send(a, 1), gofer::on_receive(b, [&](std::optional<int> v) { got[0] = v; }));
      });
      both.go([&] {
        chosen[1] =
            gofer::select(gofer::on_receive(a, [&](std::optional<int> v) { got[1] = v; }), gofer::on_send(b, 2));
      });
      both.wait();
      if (capacity == 0) {
        EXPECT_EQ(chosen[0], chosen[1]);
        met_in.insert(chosen[0]);
      }
      // What was sent was received, or lies where it was sent.
      EXPECT_EQ(a.size() + (got[1] ? 1U : 0U), chosen[0] == 0 ? 1U : 0U);
      EXPECT_EQ(b.size() + (got[0] ? 1U : 0U), chosen[1] == 1 ? 1U : 0U);
    });
  }
  EXPECT_EQ(met_in.size(), 2U);
}

TEST(AtomicValueExplored, NoUpdateIsLost) {
  explored([] {
    gofer::atomic_value<int> value(0);
    gofer::wait_group all;
    for (int i = 0; i < 3; ++i) all.go([&] { value.update([](int& v) { ++v; }); });
    all.wait();
    EXPECT_EQ(*value.load(), 3);
  });
}

// Says in a place that outlives it whether it is there.
struct marked {
  explicit marked(bool* place) : there(place) { *there = true; }
  marked(marked&& other) noexcept : there(std::exchange(other.there, nullptr)) {}
  marked& operator=(marked&&) = delete;
  ~marked() {
    if (there != nullptr) *there = false;
  }
  bool* there;
};

TEST(AtomicValueExplored, AVersionIsThereAsLongAsASnapshotOfIt) {
  explored([] {
    bool there[3] = {};
    {
      gofer::atomic_value<marked> value{marked{&there[0]}};
      gofer::wait_group all;
      all.go([&] {
        for (int i = 1; i < 3; ++i) value.store(marked{&there[i]});
        gofer::hazard::collect();
      });
      for (int reader = 0; reader < 2; ++reader) {
        all.go([&] {
          auto look = value.load();
          EXPECT_TRUE(*look->there);
          gofer::yield();
          const auto copy = look;
          look = {};  // a collection may have passed where the copy is by now, and be about to come to the original
          EXPECT_TRUE(*copy->there);
          gofer::yield();
          EXPECT_TRUE(*copy->there);
        });
      }
      all.wait();
    }
    gofer::hazard::collect();
    EXPECT_FALSE(there[0] || there[1] || there[2]);
  });
}

TEST(ChannelExplored, LivesAsLongAsItsHandles) {
  explored([] {
    auto sent = std::make_shared<int>(7);
    const std::weak_ptr<int> value = sent;
    {
      gofer::chan<std::shared_ptr<int>> ch(1);
      ch.send(std::move(sent));
      for (int i = 0; i < 2; ++i) {
        gofer::go([mine = ch] {
          const gofer::receiver<std::shared_ptr<int>> copy = mine;
          std::optional<std::shared_ptr<int>> out;
          if (copy.try_receive(out) == gofer::chan_status::ok) {
            EXPECT_EQ(**out, 7);
          }
        });
      }
    }
    while (!value.expired()) gofer::yield();
  });
}

TEST(RecursiveMutexExplored, ExcludesOthersUntilTheLastUnlock) {
  explored([] {
    gofer::recursive_mutex m;
    int inside = 0;
    gofer::wait_group all;
    for (int i = 0; i < 2; ++i) {
      all.go([&] {
        const std::scoped_lock outer(m);
        EXPECT_EQ(inside++, 0);
        {
          const std::scoped_lock inner(m);
          gofer::yield();
        }
        gofer::yield();
        EXPECT_EQ(--inside, 0);
      });
    }
    all.wait();
  });
}

TEST(TaskGroupExplored, TheFirstErrorStopsTheOthersAndIsRethrown) {
  explored([] {
    gofer::task_group group;
    std::atomic<int> stopped = 0;
    group.go([&](const std::stop_token& stop) {
      if (!gofer::sleep_for(1h, stop)) ++stopped;
    });
    group.go([] { throw std::runtime_error("first"); });
    group.go([&](const std::stop_token& stop) {
      if (!gofer::sleep_for(1h, stop)) ++stopped;
    });
    EXPECT_THROW(group.wait(), std::runtime_error);
    EXPECT_EQ(stopped, 2);
    EXPECT_TRUE(group.token().stop_requested());
  });
}

TEST(TaskGroupExplored, WhatAStoppedTaskThrowsIsNotTheFirstError) {
  explored([] {
    gofer::task_group group;
    for (int i = 0; i < 2; ++i) {
      group.go([](const std::stop_token& stop) {
        while (!stop.stop_requested()) gofer::yield();
        throw std::logic_error("stopped");
      });
    }
    group.go([] { throw std::out_of_range("the cause"); });
    EXPECT_THROW(group.wait(), std::out_of_range);
  });
}

TEST(TaskGroupExplored, KeepsToItsLimit) {
  explored([] {
    gofer::task_group group;
    group.limit(1);
    int running = 0;
    for (int i = 0; i < 3; ++i) {
      group.go([&] {
        EXPECT_EQ(running++, 0);
        gofer::yield();
        --running;
      });
    }
    EXPECT_TRUE(group.wait_all().empty());
  });
}

TEST(TaskGroupExplored, AStopOfTheParentReachesEveryChild) {
  explored([] {
    gofer::task_group outer;
    std::atomic<int> stopped = 0;
    outer.go([&](const std::stop_token& stop) {
      gofer::task_group inner(stop);
      for (int i = 0; i < 2; ++i) {
        inner.go([&](const std::stop_token& of_inner) {
          if (!gofer::sleep_for(1h, of_inner)) ++stopped;
        });
      }
      inner.wait();
    });
    gofer::go([&outer, token = outer.token()] { outer.cancel(); });
    outer.wait();
    EXPECT_EQ(stopped, 2);
    gofer::yield();
  });
}

TEST(ParallelExplored, CallsForEachOnceOrThrows) {
  explored([] {
    std::stop_source stop;
    std::atomic<int> calls = 0;
    gofer::go([&stop] { stop.request_stop(); });
    bool all = true;
    try {
      gofer::parallel_for(std::vector{1, 2, 3},
                          [&](int) {
                            ++calls;
                            gofer::yield();
                          },
                          {.limit = 2, .stop = stop.get_token()});
    } catch (const std::system_error&) {
      all = false;
    }
    EXPECT_EQ(all, calls == 3);
    while (!stop.stop_requested()) gofer::yield();
  });
}

TEST(FutureExplored, GetsWhatTheFiberReturnsOrThrows) {
  explored([] {
    gofer::future<int> value = gofer::async([] {
      gofer::yield();
      return 7;
    });
    gofer::future<int> error = gofer::async([]() -> int { throw std::runtime_error("x"); });
    EXPECT_THROW(error.get(), std::runtime_error);
    EXPECT_EQ(value.get(), 7);
  });
}

// Whose moves leave something behind.
struct copied_only {
  explicit copied_only(std::shared_ptr<int> p) : held(std::move(p)) {}
  copied_only(const copied_only&) = default;
  std::shared_ptr<int> held;
};

TEST(FutureExplored, NothingOfACallIsLeftWhenItsResultIsTaken) {
  explored([] {
    auto held = std::make_shared<int>(7);
    const std::weak_ptr<int> there = held;
    EXPECT_EQ(gofer::async([kept = held](const std::shared_ptr<int>& same) { return *kept + *same; }, held).get(), 14);
    EXPECT_EQ(there.use_count(), 1) << "of the callable";
    EXPECT_EQ(*gofer::async([&] { return copied_only(std::move(held)); }).get().held, 7);
    EXPECT_TRUE(there.expired()) << "of the result";

    held = std::make_shared<int>(8);
    const std::weak_ptr<int> dropped = held;
    gofer::async([&] { return copied_only(std::move(held)); });
    EXPECT_TRUE(dropped.expired()) << "of one that nobody takes";

    held = std::make_shared<int>(9);
    const std::weak_ptr<int> thrown = held;
    EXPECT_THROW(gofer::async([&] { throw copied_only(std::move(held)); }).get(), copied_only);
    EXPECT_TRUE(thrown.expired()) << "of an exception";
  });
}

TEST(TimerExplored, FiresOrIsStopped) {
  explored([] {
    std::atomic<int> fired = 0;
    gofer::timer t(1ms, [&] { ++fired; });
    gofer::wait_group all;
    std::atomic<int> stopped = 0;
    for (int i = 0; i < 2; ++i) {
      all.go([&] {
        gofer::sleep_for(1ms);
        stopped += t.stop() ? 1 : 0;
      });
    }
    all.wait();
    gofer::sleep_for(1ms);
    EXPECT_EQ(fired + stopped, 1);
  });
}

TEST(TickerExplored, TicksUntilItIsStopped) {
  explored([] {
    gofer::ticker t(1ms);
    gofer::wait_group one;
    int ticks = 0;
    one.go([&] {
      for (int i = 0; i < 3; ++i) ticks += t.ticks().receive().has_value() ? 1 : 0;
    });
    one.wait();
    t.stop();
    EXPECT_EQ(ticks, 3);
  });
}

TEST(TickerExplored, TheNthTickIsDueAtItsTimeHoweverLateOthersWereReceived) {
  explored([] {
    const auto begin = gofer::sched::now();
    gofer::ticker t(10ms);
    for (int n = 1; n <= 8; ++n) {
      EXPECT_EQ(t.ticks().receive().value() - begin, n * 10ms);
      gofer::sleep_for(n % 3 * 7ms);
    }
    EXPECT_EQ(gofer::sched::now() - begin, 94ms);
  });
}

TEST(ContextExplored, IsDoneOnceWhateverComesFirst) {
  explored([] {
    auto parent = gofer::context::background().with_cancel();
    const auto child = parent.with_timeout(1ms);
    gofer::wait_group all;
    all.go([&] {
      gofer::sleep_for(1ms);
      parent.cancel();
    });
    all.go([&] {
      EXPECT_EQ(gofer::select(gofer::on_done(child)), 0U);
      const auto cause = child.error();
      EXPECT_TRUE(cause == std::errc::timed_out || cause == std::errc::operation_canceled);
      gofer::sleep_for(2ms);
      EXPECT_EQ(child.error(), cause);
    });
    all.wait();
  });
}

}  // namespace
