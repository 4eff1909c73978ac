// What everything does when memory runs out, at each allocation in turn: an exception where one was promised, and else
// nothing is lost, and everything goes on.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gofer/gofer.hpp>
#include <gofer/net.hpp>

#include "exhaustion/failing_allocations.hpp"

namespace {

using namespace std::chrono_literals;
using test::failing_allocations;
using test::had_memory;
using test::with_each_allocation_failing;

/// Counts those that there are.
struct counted {
  static inline std::atomic<int> alive{0};
  counted() { ++alive; }
  counted(const counted& /*other*/) { ++alive; }
  counted(counted&& /*other*/) noexcept { ++alive; }
  counted& operator=(const counted&) = default;
  counted& operator=(counted&&) = default;
  ~counted() { --alive; }
};

TEST(Allocation, FibersStartOrAreRefused) {
  with_each_allocation_failing([] {
    std::atomic<int> ran{0};
    int started = 0;
    {
      const failing_allocations from_here;
      gofer::wait_group all;
      for (int i = 0; i < 200; ++i) {
        started += had_memory([&] { all.go([&ran, kept = counted()] { ++ran; }); });
        started += had_memory([&] {
          all.add();
          try {
            gofer::go({.name = "a name", .stack_size = 1 << 17}, [&] {
              ++ran;
              all.done();
            });
          } catch (...) {
            all.done();
            throw;
          }
        });
      }
      all.wait();
    }
    EXPECT_EQ(ran, started);
    EXPECT_GE(started, 399);
    EXPECT_EQ(counted::alive, 0);
  });
}

TEST(Allocation, RunReturnsOrThrows) {
  with_each_allocation_failing([] {
    const failing_allocations from_here;
    int got = 0;
    if (!had_memory([&] { got = gofer::run([] { return 7; }); })) got = gofer::run([] { return 7; });
    EXPECT_EQ(got, 7);
  });
}

TEST(Allocation, FuturesGetWhatTheirFunctionsReturn) {
  with_each_allocation_failing([] {
    const failing_allocations from_here;
    int sum = 0;
    int asked = 0;
    for (int i = 0; i < 50; ++i) {
      gofer::future<int> f;
      if (!had_memory([&] { f = gofer::async([kept = counted()] { return 1; }); })) continue;
      ++asked;
      sum += f.get();
    }
    EXPECT_EQ(sum, asked);
    EXPECT_EQ(counted::alive, 0);
  });
}

TEST(Allocation, GroupsWaitForWhatTheyStarted) {
  with_each_allocation_failing([] {
    const failing_allocations from_here;
    std::atomic<int> ran{0};
    int started = 0;
    had_memory([&] {
      gofer::task_group group;
      group.limit(3);
      for (int i = 0; i < 50; ++i) {
        started += had_memory([&] {
          group.go([&, kept = counted()] {
            ++ran;
            gofer::yield();
          });
        });
      }
      EXPECT_NO_THROW(group.wait());
    });
    EXPECT_EQ(ran, started);
    EXPECT_EQ(counted::alive, 0);
  });
}

TEST(Allocation, GroupsTellErrors) {
  with_each_allocation_failing([] {
    const failing_allocations from_here;
    int started = 0;
    std::optional<gofer::task_group> group;
    if (!had_memory([&] { group.emplace(); })) return;
    for (int i = 0; i < 20; ++i) started += had_memory([&] { group->go([] { throw 7; }); });
    std::size_t told = 0;
    if (had_memory([&] { told = group->wait_all().size(); })) {
      EXPECT_GE(told + 1, static_cast<std::size_t>(started));
    }
    EXPECT_GE(told, 1U);
  });
}

TEST(Allocation, LoopsInParallelDoAllOrThrow) {
  with_each_allocation_failing([] {
    const std::vector<int> all(100, 1);
    const std::vector<int> expected(100, 2);
    const failing_allocations from_here;
    std::atomic<int> sum{0};
    if (had_memory([&] { gofer::parallel_for(all, [&](int i) { sum += i; }); })) {
      EXPECT_EQ(sum, 100);
    }
    std::vector<int> doubled;
    if (had_memory([&] { doubled = gofer::transform(all, [](int i) { return 2 * i; }); })) {
      EXPECT_EQ(doubled, expected);
    }
  });
}

TEST(Allocation, ChannelsLoseNothing) {
  with_each_allocation_failing([] {
    const failing_allocations from_here;
    for (const std::size_t capacity : {0U, 3U, 30U}) {
      std::optional<gofer::chan<std::unique_ptr<counted>>> ch;
      while (!had_memory([&] { ch.emplace(capacity); })) {
      }
      gofer::wait_group both;
      int sent = 0;
      while (!had_memory([&] {
        both.go([&] {
          for (int i = 0; i < 20; ++i) sent += had_memory([&] { ch->send(std::make_unique<counted>()); });
          ch->close();
        });
      })) {
      }
      int received = 0;
      for (std::optional<std::unique_ptr<counted>> one; (one = ch->receive());) received += *one != nullptr ? 1 : 0;
      both.wait();
      EXPECT_EQ(received, sent);
      EXPECT_GE(sent, 19);
    }
    EXPECT_EQ(counted::alive, 0);
  });
}

TEST(Allocation, SelectsChooseOrThrow) {
  with_each_allocation_failing([] {
    const failing_allocations from_here;
    had_memory([] {
      std::vector<gofer::chan<int>> many;
      for (int i = 0; i < 30; ++i) many.emplace_back(1);
      std::vector<gofer::select_case> cases;
      int got = 0;
      for (auto& ch : many) cases.push_back(gofer::on_receive(ch, [&](std::optional<int> v) { got = v.value_or(-1); }));
      gofer::wait_group sending;
      sending.go([&] {
        gofer::sleep_for(1ms);
        many[17].send(3);
      });
      bool chosen = false;
      while (!chosen) chosen = had_memory([&] { EXPECT_EQ(gofer::select(cases), 17U); });
      sending.wait();
      EXPECT_EQ(got, 3);
    });
  });
}

TEST(Allocation, SleepersAndTimersKeepTime) {
  with_each_allocation_failing([] {
    const failing_allocations from_here;
    gofer::wait_group all;
    std::atomic<int> woken{0};
    int asleep = 0;
    for (int i = 0; i < 100; ++i) {
      asleep += had_memory([&] {
        all.go([&] {
          gofer::sleep_for(1ms);
          ++woken;
        });
      });
    }
    all.wait();
    EXPECT_EQ(woken, asleep);

    std::optional<gofer::timer> t;
    std::atomic<bool> fired{false};
    if (had_memory([&] { t.emplace(1ms, [&] { fired = true; }); })) {
      while (!fired) gofer::sleep_for(1ms);
    }
    std::optional<gofer::ticker> every;
    if (had_memory([&] { every.emplace(1ms); })) {
      EXPECT_TRUE(every->ticks().receive());
      EXPECT_TRUE(every->ticks().receive());
    }
    had_memory([] { EXPECT_TRUE(gofer::after(1ms).receive()); });
  });
}

template <class F>
void first_use(F f) {
  const failing_allocations from_here;
  while (!had_memory(f)) {
  }
}

TEST(Allocation, TheFirstUseMayBeATimer) {
  with_each_allocation_failing([] { first_use([] { EXPECT_TRUE(gofer::after(1ms).receive()); }); });
  with_each_allocation_failing([] {
    first_use([] {
      const gofer::ticker every(1ms);
      EXPECT_TRUE(every.ticks().receive());
    });
  });
  with_each_allocation_failing([] {
    first_use([] {
      const gofer::chan<int> fired(1);
      const gofer::timer t(1ms, [&] { fired.send(1); });
      EXPECT_EQ(fired.receive(), 1);
    });
  });
  with_each_allocation_failing([] {
    first_use([] {
      const gofer::context soon = gofer::context::background().with_timeout(1ms);
      EXPECT_EQ(gofer::select(gofer::on_done(soon)), 0U);
    });
  });
}

TEST(Allocation, TheFirstUseMayBeAWait) {
  with_each_allocation_failing([] {
    first_use([] { gofer::sleep_for(1ms); });
    first_use([] { EXPECT_EQ(gofer::select(gofer::on_receive(gofer::chan<int>()), gofer::on_timeout(1ms)), 1U); });
    gofer::counting_semaphore<> none(0);
    first_use([&] { EXPECT_FALSE(none.try_acquire_for(1ms)); });
    first_use([] { (void)gofer::net::listener::listen("127.0.0.1:0"); });
  });
}

TEST(Allocation, LocksAndWaitsNeedNone) {
  const long allocations = with_each_allocation_failing([] {
    (void)gofer::processors();  // counts them, once
    gofer::mutex m;
    gofer::timed_mutex timed;
    gofer::condition_variable cv;
    gofer::counting_semaphore<> permits(0);
    int turns = 0;
    std::latch ready(4);
    std::latch begin(1);
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        gofer::yield();  // so that the library knows the thread
        ready.count_down();
        begin.wait();
        for (int k = 0; k < 20; ++k) {
          std::unique_lock hold(m);
          ++turns;
          cv.wait_for(hold, 10us);
          hold.unlock();
          if (timed.try_lock_for(1s)) timed.unlock();
          (void)permits.try_acquire_for(10us);
        }
      });
    }
    ready.wait();
    {
      const failing_allocations from_here;
      begin.count_down();
      for (auto& t : threads) t.join();
    }
    EXPECT_EQ(turns, 80);
  });
  EXPECT_EQ(allocations, 0);
}

TEST(Allocation, ReadersReadAsEver) {
  with_each_allocation_failing([] {
    gofer::shared_mutex m;
    int written = 0;
    std::atomic<int> reads{0};
    {
      const failing_allocations from_here;
      gofer::wait_group all;
      for (int i = 0; i < 4; ++i) {
        had_memory([&] {
          all.go([&] {
            for (int k = 0; k < 2000; ++k) {
              const std::shared_lock reading(m);
              reads += written < 0 ? 0 : 1;
            }
          });
        });
      }
      for (int k = 0; k < 20; ++k) {
        const std::scoped_lock writing(m);
        ++written;
      }
      all.wait();
    }
    EXPECT_EQ(reads % 2000, 0);
    EXPECT_GE(reads, 6000);
    EXPECT_TRUE(m.try_lock());
    m.unlock();
  });
}

TEST(Allocation, SignalsAreTakenOrNot) {
  with_each_allocation_failing([] {
    const failing_allocations from_here;
    had_memory([] {
      auto signals = gofer::notify_signals({SIGUSR1, SIGUSR2});
      raise(SIGUSR2);
      EXPECT_EQ(signals.receive(), SIGUSR2);
    });
  });
}

TEST(Allocation, ContextsEnd) {
  with_each_allocation_failing([] {
    const failing_allocations from_here;
    had_memory([] {
      gofer::context top = gofer::context::background().with_cancel();
      const gofer::context_key<int> key;
      std::vector<gofer::context> below;
      for (int i = 0; i < 20; ++i) {
        had_memory([&] { below.push_back(top.with_value(key, i).with_timeout(1h).with_cancel()); });
      }
      std::optional<gofer::context> soon;
      if (had_memory([&] { soon = top.with_timeout(1ms); })) {
        while (!soon->done()) gofer::sleep_for(1ms);
        EXPECT_EQ(soon->error(), std::errc::timed_out);
      }
      top.cancel();
      for (const auto& each : below) EXPECT_TRUE(each.done());
    });
  });
}

TEST(Allocation, StatisticsAndSnapshots) {
  with_each_allocation_failing([] {
    gofer::sharded_counter count;
    gofer::sharded<int> sums;
    gofer::atomic_value<std::string> value("a string that is too long for itself");
    int counted_here = 0;
    int summed = 0;
    {
      const failing_allocations from_here;
      for (int i = 0; i < 10; ++i) {
        counted_here += had_memory([&] { count.increment(); });
        summed += had_memory([&] { sums.local([](int& n) { ++n; }); });
        had_memory([&] { value.update([](std::string& s) { s += "!"; }); });
        had_memory([&] { EXPECT_GE(value.load()->size(), 36U); });
      }
    }
    EXPECT_EQ(count.load(), counted_here);
    EXPECT_EQ(sums.fold(0, [](int a, int b) { return a + b; }), summed);
  });
}

TEST(Allocation, FibersHaveTheirOwnOrThrow) {
  with_each_allocation_failing([] {
    static const gofer::fiber_local<counted> one;
    static const gofer::fiber_local<std::string> two;
    const failing_allocations from_here;
    gofer::wait_group all;
    for (int i = 0; i < 20; ++i) {
      had_memory([&] {
        all.go([] {
          had_memory([] { (void)*one; });
          had_memory([] { *two += "a string that is too long for itself"; });
          gofer::yield();
          had_memory([] { EXPECT_TRUE(two->empty() || two->size() == 36) << *two; });
        });
      });
    }
    all.wait();
    EXPECT_EQ(counted::alive, 0);
  });
}

/// The law of pools, and a result for each that was accepted.
void work_off(const gofer::worker_pool_options& options) {
  const failing_allocations from_here;
  std::uint64_t accepted = 0;
  std::uint64_t received = 0;
  std::uint64_t good = 0;
  had_memory([&] {
    gofer::worker_pool<std::unique_ptr<int>, std::string> pool(
        [](std::unique_ptr<int> n) {
          if (*n % 10 == 0) throw std::runtime_error("ten");
          return std::string(static_cast<std::size_t>(20 + *n % 3), 'x');
        },
        options);
    gofer::wait_group submitting;
    if (!had_memory([&] {
          submitting.go([&] {
            for (int i = 1; i <= 40; ++i) {
              accepted += had_memory([&] {
                pool.submit(std::make_unique<int>(i), {.priority = i % 3, .key = static_cast<std::uint64_t>(i % 5)});
              });
              accepted += had_memory([&] { pool.submit(std::make_unique<int>(i)); });
            }
            pool.drain();
          });
        })) {
      pool.drain();
    }
    for (auto& r : pool.results()) {
      ++received;
      if (r.ok()) {
        ++good;
        EXPECT_GE(r.value().size(), 20U);
      }
    }
    submitting.wait();
    const gofer::worker_pool_stats s = pool.stats();
    EXPECT_EQ(s.submitted, accepted);
    EXPECT_EQ(s.submitted, s.completed + s.failed + s.discarded);
    EXPECT_EQ(s.completed, good);
  });
  EXPECT_EQ(received, accepted);
}

TEST(Allocation, PoolsLoseNothing) {
  with_each_allocation_failing(
      [] { work_off({.name = "a pool with a long name", .min_workers = 3, .queue_capacity = 10}); });
}

TEST(Allocation, PoolsInOrderLoseNothing) {
  with_each_allocation_failing(
      [] { work_off({.min_workers = 2, .max_workers = 5, .queue_capacity = 50, .ordered = true}); });
}

TEST(Allocation, PoolsThatTryAgainLoseNothing) {
  with_each_allocation_failing([] {
    const failing_allocations from_here;
    int accepted = 0;
    int received = 0;
    had_memory([&] {
      gofer::worker_pool<int, std::string> pool(
          [](int n) -> std::string {
            if (n % 3 == 0) throw std::runtime_error("three");
            return std::string(30, 'x');
          },
          {.min_workers = 2, .max_attempts = 3, .backoff = 10us, .task_timeout = 1s});
      for (int i = 0; i < 20; ++i) accepted += had_memory([&] { pool.submit(i); });
      had_memory([&] { accepted += pool.submit(std::vector<int>(20, 1)) != 0 ? 20 : 0; });
      while (!had_memory([&] { gofer::go([&] { pool.drain(); }); })) {
      }
      for (auto& r : pool.results()) received += r.ok() || !r.message().empty() ? 1 : 0;
      EXPECT_EQ(pool.stats().submitted, static_cast<std::uint64_t>(received));
    });
    EXPECT_GE(received, accepted);
  });
}

/// Beyond a queue of two.
void overflow_a_pool(gofer::overflow when_full) {
  const failing_allocations from_here;
  std::uint64_t accepted = 0;
  std::uint64_t received = 0;
  had_memory([&] {
    gofer::worker_pool<int, std::string> pool([](int) { return std::string(30, 'x'); },
                                              {.min_workers = 1,
                                               .max_workers = 3,
                                               .queue_capacity = 2,
                                               .when_full = when_full,
                                               .scale_interval = 1ms,
                                               .on_scale = [](std::size_t, std::size_t) {}});
    for (int i = 0; i < 30; ++i) {
      try {
        accepted += had_memory([&] { pool.submit(i); });
      } catch (const gofer::queue_full&) {
      }
    }
    pool.wait_idle();
    pool.drain();
    for (auto& r : pool.results()) received += r.ok() || r.error() != nullptr ? 1 : 0;
    const gofer::worker_pool_stats s = pool.stats();
    EXPECT_EQ(s.submitted, s.completed + s.failed + s.discarded);
    EXPECT_EQ(s.submitted, accepted);
  });
  EXPECT_EQ(received, accepted);
}

TEST(Allocation, PoolsWhoseQueueIsFullLoseNothing) {
  with_each_allocation_failing([] { overflow_a_pool(gofer::overflow::reject); });
  with_each_allocation_failing([] { overflow_a_pool(gofer::overflow::caller_runs); });
  with_each_allocation_failing([] { overflow_a_pool(gofer::overflow::discard_oldest); });
}

TEST(Allocation, PoolsOfCallablesKeepTheirPromises) {
  with_each_allocation_failing([] {
    const failing_allocations from_here;
    had_memory([] {
      gofer::worker_pool<> pool({.min_workers = 2});
      std::vector<gofer::future<std::string>> all;
      all.reserve(100);
      for (int i = 0; i < 100; ++i) {
        had_memory([&] { all.push_back(pool.submit([kept = counted()] { return std::string(30, 'x'); })); });
      }
      for (auto& f : all) had_memory([&] { EXPECT_EQ(f.get().size(), 30U); });
      pool.wait_idle();
    });
    EXPECT_EQ(counted::alive, 0);
  });
}

TEST(Allocation, BlockingCallsAndManyProcessors) {
  with_each_allocation_failing([] {
    const failing_allocations from_here;
    gofer::wait_group all;
    std::atomic<int> done{0};
    int begun = 0;
    for (int i = 0; i < 12; ++i) {
      begun += had_memory([&] {
        all.go([&] {
          gofer::blocking([] { std::this_thread::sleep_for(2ms); });
          ++done;
        });
      });
    }
    all.wait();
    EXPECT_EQ(done, begun);
  });
}

}  // namespace
