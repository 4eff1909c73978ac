// What a pool promises in each of its forms, under explored schedules: every accepted task is settled once, and the
// numbers add up.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <utility>
#include <vector>

#include <gofer/gofer.hpp>

#include "support/explored.hpp"
#include "support/pool_law.hpp"

namespace {

using namespace std::chrono_literals;
using gofer::overflow;
using gofer::worker_pool;
using test::expect_the_law;
using test::explored;

/// Submits tasks 1 to `count` while others do other things; returns how many were accepted.
template <class Pool>
int submit_some(Pool& pool, int count) {
  int accepted = 0;
  try {
    for (int i = 1; i <= count; ++i) {
      pool.submit(i);
      ++accepted;
    }
  } catch (const gofer::pool_stopped&) {
  }
  return accepted;
}

template <class Pool>
std::vector<bool> received(Pool& pool) {
  std::vector<bool> ok;
  std::set<std::uint64_t> ids;
  for (auto& r : pool.results()) {
    ok.push_back(r.ok());
    EXPECT_TRUE(ids.insert(r.id).second);
  }
  return ok;
}

TEST(WorkerPoolExplored, DrainAccountsForEveryTask) {
  explored([] {
    worker_pool<int, int> pool([](int i) { return i; }, {.min_workers = 2, .queue_capacity = 1});
    gofer::wait_group submitter;
    submitter.go([&] {
      for (int i = 0; i < 3; ++i) pool.submit(i);
      pool.drain();
    });
    int results = 0;
    for (auto& r : pool.results()) results += r.ok() ? 1 : 0;
    submitter.wait();
    EXPECT_EQ(results, 3);
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, StopAccountsForEveryTask) {
  explored([] {
    worker_pool<int, int> pool([](int i) { return i; }, {.min_workers = 1, .queue_capacity = 4});
    int accepted = 0;
    gofer::wait_group all;
    all.go([&] {
      try {
        for (int i = 0; i < 2; ++i) accepted += pool.try_submit(int{i}) ? 1 : 0;
      } catch (const gofer::pool_stopped&) {
      }
    });
    all.go([&] { pool.stop(); });
    all.wait();
    int results = 0;
    for ([[maybe_unused]] auto& r : pool.results()) ++results;
    EXPECT_EQ(results, accepted);
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, ASubmitterThatWaitsForRoomIsLetInOrRefused) {
  explored([] {
    worker_pool<int, int> pool([](int i) { return i; }, {.min_workers = 1, .queue_capacity = 1});
    int accepted[2] = {};
    gofer::wait_group all;
    for (int& mine : accepted) all.go([&] { mine = submit_some(pool, 2); });
    all.go([&] { pool.stop(); });
    all.wait();
    EXPECT_EQ(received(pool).size(), static_cast<std::size_t>(accepted[0] + accepted[1]));
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, OfABatchAgainstAStopAFirstPartIsAccepted) {
  explored([] {
    worker_pool<int, int> pool([](int i) { return i; }, {.min_workers = 1, .queue_capacity = 2});
    gofer::wait_group all;
    all.go([&] {
      try {
        EXPECT_EQ(pool.submit(std::vector{1, 2, 3, 4}), 4U);
      } catch (const gofer::pool_stopped&) {
      }
    });
    all.go([&] { pool.stop(); });
    all.wait();
    EXPECT_EQ(received(pool).size(), pool.stats().submitted);
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, RoomAgainstATimeoutLosesNoTask) {
  explored([] {
    worker_pool<int, int> pool(
        [](int i) {
          gofer::sleep_for(1ms);
          return i;
        },
        {.min_workers = 1, .queue_capacity = 1});
    std::atomic<int> accepted = 0;
    gofer::wait_group all;
    for (int i = 0; i < 3; ++i) {
      all.go([&] { accepted += pool.submit_for(1, 1ms) ? 1 : 0; });
    }
    all.wait();
    pool.drain();
    EXPECT_EQ(received(pool).size(), static_cast<std::size_t>(accepted.load()));
    const auto s = pool.stats();
    EXPECT_EQ(s.submitted, static_cast<std::uint64_t>(accepted.load()));
    EXPECT_EQ(s.rejected, static_cast<std::uint64_t>(3 - accepted));
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, WhatIsDiscardedForANewerTaskHasItsResult) {
  explored([] {
    worker_pool<int, int> pool([](int i) { return i; },
                               {.min_workers = 1, .queue_capacity = 1, .when_full = overflow::discard_oldest});
    gofer::wait_group all;
    for (int i = 0; i < 2; ++i) {
      all.go([&] { EXPECT_EQ(submit_some(pool, 2), 2); });
    }
    all.wait();
    pool.drain();
    EXPECT_EQ(received(pool).size(), 4U);
    EXPECT_EQ(pool.stats().completed + pool.stats().discarded, 4U);
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, NothingIsDiscardedForATaskThatAnIdleWorkerTakes) {
  explored([] {
    gofer::latch go_on(1);
    worker_pool<int> pool(
        [&](int i) {
          if (i == 0) go_on.wait();
        },
        {.min_workers = 2, .queue_capacity = 1, .when_full = overflow::discard_oldest});
    pool.submit(0, {.key = 1});
    gofer::sleep_for(1ms);       // until one worker waits in the task, and the other for one
    pool.submit(1, {.key = 1});  // fills the queue until its key's turn comes
    pool.submit(2);
    gofer::sleep_for(1ms);
    EXPECT_EQ(pool.stats().completed, 1U);
    go_on.count_down();
    pool.drain();
    EXPECT_EQ(pool.stats().completed, 3U);
  });
}

TEST(WorkerPoolExplored, TheCallerRunsWhatDoesNotFit) {
  explored([] {
    worker_pool<int, int> pool([](int i) { return i; },
                               {.min_workers = 1, .queue_capacity = 1, .when_full = overflow::caller_runs});
    gofer::wait_group all;
    for (int i = 0; i < 2; ++i) {
      all.go([&] { EXPECT_EQ(submit_some(pool, 2), 2); });
    }
    all.wait();
    pool.wait_idle();
    EXPECT_EQ(pool.stats().completed, 4U);
    pool.drain();
    EXPECT_EQ(received(pool), std::vector<bool>(4, true));
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, RetriesAgainstAStopAreSettledOnce) {
  explored([] {
    worker_pool<int, int> pool([](int) -> int { throw std::runtime_error("always"); },
                               {.min_workers = 1, .max_attempts = 2, .backoff = 1ms});
    gofer::wait_group all;
    int accepted = 0;
    all.go([&] { accepted = submit_some(pool, 2); });
    all.go([&] {
      gofer::sleep_for(1ms);
      pool.stop();
    });
    all.wait();
    EXPECT_EQ(received(pool), std::vector<bool>(static_cast<std::size_t>(accepted), false));
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, RetriesAreDrained) {
  explored([] {
    int calls = 0;
    worker_pool<int, int> pool(
        [&calls](int i) {
          if (++calls == 1) throw std::runtime_error("once");
          return i;
        },
        {.min_workers = 1, .max_attempts = 2, .backoff = 1ms});
    gofer::wait_group all;
    all.go([&] { submit_some(pool, 2); });
    all.wait();
    pool.drain();
    EXPECT_EQ(received(pool), std::vector<bool>(2, true));
    EXPECT_EQ(pool.stats().retried, 1U);
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, OrderedResultsAreInOrderWhoeverIsFirst) {
  explored([] {
    worker_pool<int, int> pool(
        [](int i) {
          gofer::yield();
          return i;
        },
        {.min_workers = 2, .ordered = true});
    gofer::wait_group all;
    all.go([&] {
      submit_some(pool, 3);
      pool.drain();
    });
    int expected = 1;
    for (auto& r : pool.results()) EXPECT_EQ(r.value(), expected++);
    EXPECT_EQ(expected, 4);
    all.wait();
  });
}

/// Of an ordered pool that accepts four tasks more than have had their results.
void submit_past_the_reach(overflow when_full) {
  explored([=] {
    worker_pool<int, int> pool(
        [](int i) {
          if (i == 1) gofer::sleep_for(1ms);
          return i;
        },
        {.min_workers = 2, .queue_capacity = 1, .result_capacity = 1, .when_full = when_full, .ordered = true});
    gofer::wait_group all;
    all.go([&] {
      EXPECT_EQ(submit_some(pool, 6), 6);
      pool.drain();
    });
    std::uint64_t expected = 1;
    for (auto& r : pool.results()) EXPECT_EQ(r.id, expected++);
    EXPECT_EQ(expected, 7U);
    all.wait();
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, ABoundedNumberOfOrderedResultsIsEarly) { submit_past_the_reach(overflow::block); }
TEST(WorkerPoolExplored, ABoundedNumberOfOrderedResultsIsEarlyWhereTheOldestIsDiscarded) {
  submit_past_the_reach(overflow::discard_oldest);
}
TEST(WorkerPoolExplored, ABoundedNumberOfOrderedResultsIsEarlyWhereCallersRun) {
  submit_past_the_reach(overflow::caller_runs);
}

TEST(WorkerPoolExplored, AnOrderedPoolStopsWhereSubmittersWaitForAResult) {
  explored([] {
    worker_pool<int, int> pool(
        [](int i, const std::stop_token& stop) {
          if (i == 1) gofer::sleep_for(1h, stop);
          return i;
        },
        {.min_workers = 2, .queue_capacity = 1, .result_capacity = 1, .ordered = true});
    gofer::wait_group all;
    int accepted = 0;
    all.go([&] { accepted = submit_some(pool, 6); });
    all.go([&] {
      gofer::sleep_for(1ms);
      pool.stop();
    });
    all.wait();
    EXPECT_LE(accepted, 4);
    EXPECT_EQ(received(pool).size(), static_cast<std::size_t>(accepted));
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, IsResizedWhileItWorksAndEnds) {
  explored([] {
    worker_pool<int, int> pool([](int i) { return i; }, {.min_workers = 2, .queue_capacity = 2});
    int accepted = 0;
    gofer::wait_group all;
    all.go([&] { accepted = submit_some(pool, 3); });
    all.go([&] {
      pool.resize(1, 1);
      pool.resize(2, 3);
    });
    all.go([&] { pool.drain(); });
    all.wait();
    EXPECT_EQ(received(pool), std::vector<bool>(static_cast<std::size_t>(accepted), true));
    EXPECT_EQ(pool.stats().workers, 0U);
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, GrowsAndShrinksWithoutLosingATask) {
  explored([] {
    std::size_t last = 1;
    worker_pool<int, int> pool(
        [](int i) {
          gofer::sleep_for(20ms);
          return i;
        },
        {.min_workers = 1,
         .max_workers = 2,
         .queue_capacity = 4,
         .scale_interval = 10ms,
         .idle_timeout = 10ms,
         .on_scale = [&last](std::size_t before, std::size_t after) {
           EXPECT_EQ(before, last);
           last = after;
         }});
    EXPECT_EQ(submit_some(pool, 4), 4);
    gofer::sleep_for(100ms);
    EXPECT_EQ(pool.stats().workers, 1U);
    EXPECT_EQ(pool.stats().grown, pool.stats().shrunk);
    EXPECT_EQ(submit_some(pool, 1), 1);
    pool.drain();
    EXPECT_EQ(received(pool), std::vector<bool>(5, true));
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, AnObserverHearsOfNothingOnceThePoolHasEnded) {
  explored([] {
    bool gone = false;
    {
      worker_pool<int> pool(
          [](int, const std::stop_token& stop) { gofer::sleep_for(1h, stop); },
          {.min_workers = 1, .max_workers = 2, .scale_interval = 100us, .on_scale = [&](std::size_t, std::size_t) {
             EXPECT_FALSE(gone);
           }});
      gofer::wait_group submitter;
      submitter.go([&] { submit_some(pool, 3); });
      gofer::sleep_for(100us);
      pool.stop();
      submitter.wait();
    }
    gone = true;
    gofer::sleep_for(1ms);  // for one that is late
  });
}

// In virtual time: half a second of work for eight workers, half a second of none, and so on.
TEST(WorkerPoolExplored, WhatItWasGivenIsGoneWhenThePoolIs) {
  explored([] {
    auto of_process = std::make_shared<int>(1);
    auto of_observer = std::make_shared<int>(2);
    const std::weak_ptr<int> processes = of_process;
    const std::weak_ptr<int> observes = of_observer;
    {
      worker_pool<int, int> pool([kept = std::move(of_process)](int i) { return i + *kept; },
                                 {.min_workers = 2, .on_scale = [kept = std::move(of_observer)](auto, auto) {}});
      submit_some(pool, 2);
      pool.drain();
    }
    EXPECT_TRUE(processes.expired());
    EXPECT_TRUE(observes.expired());
  });
}

TEST(WorkerPoolExplored, ALoadThatComesAndGoesDoesNotMakeItFlap) {
  gofer::testing::explore(
      [] {
        worker_pool<int> pool([](int) { gofer::sleep_for(50ms); },
                              {.min_workers = 1, .max_workers = 8, .queue_capacity = 1000, .idle_timeout = 2s});
        for (int wave = 0; wave < 10; ++wave) {
          for (int i = 0; i < 80; ++i) pool.submit(i);
          pool.wait_idle();
          gofer::sleep_for(500ms);
        }
        const auto working = pool.stats();
        EXPECT_EQ(working.workers, 8U);
        EXPECT_EQ(working.grown, 7U);
        EXPECT_EQ(working.shrunk, 0U);
        gofer::sleep_for(3s);
        EXPECT_EQ(pool.stats().workers, 1U);
      },
      {.schedules = 30, .max_steps = 1'000'000});
}

TEST(WorkerPoolExplored, ATimeoutIsAStopOfTheTaskAlone) {
  explored([] {
    worker_pool<int, bool> pool([](int i, const std::stop_token& stop) { return gofer::sleep_for(i * 2ms, stop); },
                                {.min_workers = 2, .task_timeout = 3ms, .ordered = true});
    gofer::wait_group all;
    all.go([&] {
      EXPECT_EQ(submit_some(pool, 2), 2);
      pool.drain();
    });
    std::vector<bool> slept;
    for (auto& r : pool.results()) {
      slept.push_back(r.value());
      EXPECT_NE(r.timed_out, r.value());
    }
    all.wait();
    EXPECT_EQ(slept, (std::vector<bool>{true, false}));
    EXPECT_EQ(pool.stats().timed_out, 1U);
  });
}

TEST(WorkerPoolExplored, TimeoutsOfEveryAttemptAreCounted) {
  explored([] {
    int tries = 0;
    worker_pool<int, int> pool(
        [&](int i, const std::stop_token& stop) {
          if (++tries < 3 && !gofer::sleep_for(1h, stop)) throw std::runtime_error("was stopped");
          return i;
        },
        {.min_workers = 1, .max_attempts = 3, .task_timeout = 3ms});
    pool.submit(7);
    pool.drain();
    const auto r = pool.results().receive();
    EXPECT_EQ(r->attempts, 3U);
    EXPECT_FALSE(r->timed_out);  // the last one was not
    EXPECT_EQ(pool.stats().timed_out, 2U);
  });
}

TEST(WorkerPoolExplored, ADrainThatRunsOutOfTimeStops) {
  explored([] {
    worker_pool<int, int> pool(
        [](int i, const std::stop_token& stop) {
          gofer::sleep_for(i * 1ms, stop);
          return i;
        },
        {.min_workers = 1});
    EXPECT_EQ(submit_some(pool, 3), 3);
    bool drained = true;
    gofer::wait_group all;
    all.go([&] { drained = pool.drain_for(2ms); });
    all.go([&] { pool.drain(); });
    all.wait();
    EXPECT_FALSE(drained);
    EXPECT_EQ(received(pool).size(), 3U);
    EXPECT_GT(pool.stats().discarded, 0U);
    expect_the_law(pool);
  });
}

TEST(WorkerPoolExplored, EveryFutureGetsWhatBecameOfItsTask) {
  explored([] {
    std::vector<gofer::future<int>> futures;
    {
      worker_pool<> pool({.min_workers = 1});
      gofer::wait_group all;
      all.go([&] {
        try {
          for (int i = 0; i < 2; ++i) futures.push_back(pool.submit([i] { return i; }));
        } catch (const gofer::pool_stopped&) {
        }
      });
      all.go([&] { pool.stop(); });
      all.wait();
    }
    for (int i = 0; auto& f : futures) {
      try {
        EXPECT_EQ(f.get(), i);
      } catch (const gofer::task_discarded&) {
      }
      ++i;
    }
  });
}

TEST(WorkerPoolExplored, TasksOfOneKeyAreNeverBesideEachOther) {
  explored([] {
    int inside = 0;
    int last = 0;
    worker_pool<int, int> pool(
        [&](int i) {
          EXPECT_EQ(inside++, 0);
          EXPECT_EQ(i, ++last);
          gofer::yield();
          --inside;
          return i;
        },
        {.min_workers = 2, .queue_capacity = 2});
    gofer::wait_group all;
    all.go([&] {
      for (int i = 1; i <= 3; ++i) pool.submit(i, {.priority = i, .key = 1});
      pool.drain();
    });
    EXPECT_EQ(received(pool), std::vector<bool>(3, true));
    all.wait();
  });
}

TEST(WorkerPoolExplored, KeysAndPrioritiesAgainstAStopLoseNothing) {
  explored([] {
    worker_pool<int, int> pool([](int i) { return i; },
                               {.min_workers = 2, .queue_capacity = 2, .when_full = overflow::discard_oldest});
    gofer::wait_group all;
    std::uint64_t accepted = 0;
    all.go([&] {
      try {
        for (int i = 0; i < 4; ++i) {
          pool.submit(i, {.priority = i % 2, .key = static_cast<std::uint64_t>(i / 2)});
          ++accepted;
        }
      } catch (const gofer::pool_stopped&) {
      }
    });
    all.go([&] { pool.stop(); });
    all.wait();
    EXPECT_EQ(pool.stats().submitted, accepted);
    EXPECT_EQ(received(pool).size(), accepted);
    expect_the_law(pool);
  });
}

}  // namespace
