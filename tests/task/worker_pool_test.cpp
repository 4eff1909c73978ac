#include <gofer/worker_pool.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <ranges>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <gofer/go.hpp>
#include <gofer/latch.hpp>
#include <gofer/time.hpp>
#include <gofer/wait_group.hpp>

#include "support/callers.hpp"
#include "support/memory.hpp"
#include "support/pool_law.hpp"

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using WorkerPool = test::ForCallers;
FOR_ALL_CALLERS(WorkerPool);

TEST_P(WorkerPool, EveryTaskHasOneResult) {
  gofer::worker_pool<int, int> pool([](int i) { return i * 2; }, {.min_workers = 4, .queue_capacity = 10});
  std::atomic<long> sum{0};
  std::atomic<int> results{0};
  std::atomic<int> submitters{3};
  const int each = test::times(2000);
  test::run_in(GetParam(), 5, [&](int i) {
    if (i < 3) {
      for (int k = 1; k <= each; ++k) pool.submit(k);
      if (--submitters == 0) pool.drain();
    } else {
      for (auto& r : pool.results()) {
        sum += r.value();
        ++results;
      }
    }
  });
  EXPECT_EQ(results, 3 * each);
  EXPECT_EQ(sum, 3L * each * (each + 1));
  const auto s = pool.stats();
  EXPECT_EQ(s.completed, static_cast<std::uint64_t>(3 * each));
  EXPECT_EQ(s.workers, 0U);
  test::expect_the_law(pool);
}

TEST(WorkerPoolResults, SayWhatFailed) {
  gofer::worker_pool<int, std::string> pool(
      [](int i) -> std::string {
        if (i % 2 == 0) throw std::runtime_error("task " + std::to_string(i) + " is even");
        if (i == 5) throw 42;
        return std::to_string(i);
      },
      {.min_workers = 2});
  for (int i = 1; i <= 6; ++i) EXPECT_EQ(pool.submit(i), static_cast<std::uint64_t>(i));
  pool.drain();
  std::set<std::uint64_t> ids;
  for (auto& r : pool.results()) {
    ids.insert(r.id);
    EXPECT_EQ(r.attempts, 1U);
    if (r.id % 2 == 0) {
      EXPECT_FALSE(r.ok());
      EXPECT_EQ(r.message(), "task " + std::to_string(r.id) + " is even");
      EXPECT_THROW(r.value(), std::runtime_error);
    } else if (r.id == 5) {
      EXPECT_EQ(r.message(), "unknown exception");
    } else {
      EXPECT_EQ(r.value(), std::to_string(r.id));
      EXPECT_EQ(r.error(), nullptr);
    }
  }
  EXPECT_EQ(ids.size(), 6U);
  EXPECT_EQ(pool.stats().failed, 4U);
}

// Moves as often as it may, and then throws, once. It can be constructed, and nothing else.
struct fragile {
  explicit fragile(std::atomic<int>& may_move) : moves(may_move) {}
  fragile(fragile&& other) noexcept(false) : moves(other.moves) {
    if (moves-- == 0) throw std::runtime_error("broken on the way");
  }
  std::atomic<int>& moves;
};

TEST(WorkerPoolResults, ThatCannotBeMovedAreErrors) {
  constexpr int tasks = 5;
  int broken = 0;
  for (const bool ordered : {false, true}) {
    for (int most = 0; most < 30; ++most) {
      std::atomic<int> moves{most};
      gofer::worker_pool<int, fragile> pool(
          [&](int i) {
            if (ordered && i == 0) gofer::sleep_for(1ms);  // the others wait for it
            return fragile(moves);
          },
          {.min_workers = 2, .ordered = ordered});
      for (int i = 0; i < tasks; ++i) pool.submit(i);
      pool.drain();
      std::set<std::uint64_t> ids;
      for (;;) {
        try {
          const auto result = pool.results().receive();
          if (!result) break;
          ids.insert(result->id);
          if (result->ok()) continue;
          EXPECT_EQ(result->message(), "broken on the way");
          ++broken;
        } catch (const std::runtime_error&) {  // by the receiver, and it is still there
        }
      }
      EXPECT_EQ(ids.size(), tasks) << "after " << most << " moves";
      test::expect_the_law(pool);
    }
  }
  EXPECT_GT(broken, 0);
}

// A task that takes its time to go away, and its result: one whose move throws nothing, and one whose move may.
struct slow_to_end {
  std::shared_ptr<int> held;
  slow_to_end(std::shared_ptr<int> what) : held(std::move(what)) {}  // NOLINT: a shared_ptr is submitted
  slow_to_end(slow_to_end&&) = default;
  slow_to_end& operator=(slow_to_end&&) = default;
  ~slow_to_end() {
    if (held != nullptr) gofer::sleep_for(1ms);
  }
};

template <class Text>
void expect_tasks_gone_with_their_results() {
  const auto process = [](const slow_to_end& t) -> Text {
    if (*t.held % 5 == 0) throw std::runtime_error("a fifth fails");
    return Text{std::string(40, 'x')};
  };
  gofer::worker_pool<slow_to_end, Text> pool(process, {.min_workers = 2});
  std::vector<std::weak_ptr<int>> held;
  for (int i = 0; i < 50; ++i) {
    auto one = std::make_shared<int>(i);
    held.emplace_back(one);
    pool.submit(std::move(one));
  }
  gofer::go([&] { pool.drain(); });
  for (auto& r : pool.results()) {
    EXPECT_TRUE(held[r.id - 1].expired()) << "task " << r.id << " is there after its result";
    EXPECT_EQ(r.ok() ? r.value().text : r.message(), r.id % 5 == 1 ? "a fifth fails" : std::string(40, 'x'));
  }
}

TEST(WorkerPoolResults, ComeWhenTheirTasksAreGone) {
  struct text_only {
    std::string text;
  };
  struct text_that_may_throw : text_only {
    explicit text_that_may_throw(std::string t) : text_only{std::move(t)} {}
    text_that_may_throw(text_that_may_throw&& other) noexcept(false) : text_only(std::move(other)) {}
    text_that_may_throw& operator=(text_that_may_throw&&) = default;
  };
  expect_tasks_gone_with_their_results<text_only>();
  expect_tasks_gone_with_their_results<text_that_may_throw>();
}

TEST(WorkerPoolResults, NobodyHasToReadThem) {
  gofer::worker_pool<int, int> pool([](int i) { return i; }, {.min_workers = 2, .result_capacity = 1});
  for (int i = 0; i < 500; ++i) pool.submit(i);
  pool.drain();
  int late = 0;
  for (auto& r : pool.results()) late += r.ok() ? 1 : 0;
  EXPECT_EQ(late, 500);
}

TEST(WorkerPoolResults, ComeInTheOrderOfSubmissionIfAsked) {
  gofer::worker_pool<int, int> pool(
      [](int i) {
        gofer::sleep_for(std::chrono::microseconds((i * 37) % 300));
        return i;
      },
      {.min_workers = 4, .ordered = true});
  gofer::go([&] {
    for (int i = 0; i < 200; ++i) pool.submit(i);
    pool.drain();
  });
  int expected = 0;
  for (auto& r : pool.results()) EXPECT_EQ(r.value(), expected++);
  EXPECT_EQ(expected, 200);
}

/// Submits to a pool whose results come in order, and whose first task waits, until it takes no more.
class OrderedPool : public testing::TestWithParam<gofer::overflow> {
 protected:
  static constexpr int room = 20 + 10 + 2;  // in the queue, of results, and of workers

  gofer::latch first_runs_{1};
  gofer::latch first_may_end_{1};
  gofer::worker_pool<int, int> pool_{
      [this](int i) {
        if (i == 1) {
          first_runs_.count_down();
          first_may_end_.wait();
        }
        return i;
      },
      {.min_workers = 2, .queue_capacity = 20, .result_capacity = 10, .when_full = GetParam(), .ordered = true}};

  void expect_results_in_order(int count) {
    int expected = 0;
    for (auto& r : pool_.results()) {
      EXPECT_EQ(r.id, static_cast<std::uint64_t>(++expected));
      EXPECT_EQ(r.ok() ? r.value() : expected, expected);
    }
    EXPECT_EQ(expected, count);
  }
};

TEST_P(OrderedPool, KeepsOnlySoManyResultsThatAreEarly) {
  gofer::wait_group submitting;
  std::atomic<int> accepted{0};
  submitting.go([&] {
    for (int i = 1; i <= 100; ++i) {
      while (!pool_.submit_for(i + 0, 1h)) ADD_FAILURE() << "an hour";
      accepted = i;
    }
  });
  while (pool_.stats().completed < room - 1) gofer::yield();
  gofer::sleep_for(20ms);
  EXPECT_EQ(accepted, room);
  EXPECT_FALSE(pool_.try_submit(0));
  if (GetParam() == gofer::overflow::reject) {
    EXPECT_THAT([&] { pool_.submit(0); },
                testing::ThrowsMessage<gofer::queue_full>(HasSubstr("results come in order")));
  }
  first_may_end_.count_down();
  submitting.wait();
  gofer::go([&] { pool_.drain(); });
  expect_results_in_order(100);
}

TEST_P(OrderedPool, OtherwiseFullDoesAsItsOptionsSay) {
  pool_.submit(1);
  first_runs_.wait();  // so that it is not discarded
  gofer::go([&] {
    for (int i = 2; i <= 500;) {
      try {
        pool_.submit(i + 0);
        ++i;
      } catch (const gofer::queue_full&) {
        gofer::sleep_for(100us);
      }
    }
    pool_.drain();
  });
  while (pool_.stats().busy + pool_.stats().queued != 1 || pool_.stats().submitted < room) gofer::yield();
  gofer::sleep_for(20ms);
  EXPECT_EQ(pool_.stats().submitted, static_cast<unsigned>(room));
  first_may_end_.count_down();
  expect_results_in_order(500);
}

TEST_P(OrderedPool, StopsWhileSubmittersWaitForAResult) {
  gofer::wait_group submitting;
  std::atomic<int> accepted{0};
  submitting.go([&] {
    EXPECT_THROW(
        for (;;) {
          while (!pool_.submit_for(accepted + 1, 1h)) continue;
          ++accepted;
        },
        gofer::pool_stopped);
  });
  while (accepted < room) gofer::yield();
  gofer::go([&] { pool_.stop(); });
  submitting.wait();
  first_may_end_.count_down();
  expect_results_in_order(room);
}

std::string what_it_does(const testing::TestParamInfo<gofer::overflow>& when_full) {
  constexpr std::array names = {"Blocks", "Rejects", "DiscardsTheOldest", "LetsTheCallerRun"};
  return names.at(static_cast<std::size_t>(when_full.param));
}

INSTANTIATE_TEST_SUITE_P(That, OrderedPool,
                         testing::Values(gofer::overflow::block, gofer::overflow::reject,
                                         gofer::overflow::discard_oldest, gofer::overflow::caller_runs),
                         what_it_does);

TEST(OrderedPools, LetNoMoreResultsWaitThanTheyMay) {
  gofer::worker_pool<int, int> pool([](int i) { return i; },
                                    {.min_workers = 2, .queue_capacity = 5, .result_capacity = 10, .ordered = true});
  auto results = pool.results();
  pool.submit(1);
  EXPECT_EQ(results.receive()->value(), 1);  // from now on somebody receives
  gofer::go([&] {
    for (int i = 2; i <= 200; ++i) pool.submit(i);
    pool.drain();
  });
  constexpr unsigned gone_out = 1 + 10;                              // received, and to be received
  while (pool.stats().submitted < gone_out + 2 + 5) gofer::yield();  // in the hands of workers, queued
  gofer::sleep_for(20ms);
  EXPECT_LE(pool.stats().submitted, gone_out + 5 + 10 + 2);  // one that was slow may have let others get ahead
  int expected = 1;
  for (auto& r : results) EXPECT_EQ(r.value(), ++expected);
  EXPECT_EQ(expected, 200);
}

TEST(OrderedPools, RefuseATaskThatWouldWaitForRoom) {
  gofer::worker_pool<int, int>* self = nullptr;
  gofer::chan<std::string> said(1);
  gofer::worker_pool<int, int> pool(
      [&](int i) {
        if (i != 0) return i;
        try {
          for (;;) self->submit(1);
        } catch (const gofer::queue_full& e) {
          said.send(e.what());
        }
        return 0;
      },
      {.min_workers = 2, .queue_capacity = 2, .result_capacity = 2, .ordered = true});
  self = &pool;
  pool.submit(0);
  EXPECT_THAT(*said.receive(), HasSubstr("as they come in order"));
}

TEST(WorkerPoolBatches, OfWhatCanOnlyBeMovedAreGivenAway) {
  gofer::worker_pool<std::unique_ptr<int>, int> pool([](std::unique_ptr<int> p) { return *p; }, {.ordered = true});
  std::vector<std::unique_ptr<int>> all;
  for (int i = 0; i < 50; ++i) all.push_back(std::make_unique<int>(i));
  EXPECT_EQ(pool.submit(std::move(all)), 50U);
  pool.drain();
  int expected = 0;
  for (auto& r : pool.results()) EXPECT_EQ(r.value(), expected++);
  EXPECT_EQ(expected, 50);
}

TEST(WorkerPoolBatches, AreSubmittedInOrder) {
  gofer::worker_pool<std::string, std::string> pool([](std::string s) { return s + "!"; },
                                                    {.min_workers = 3, .queue_capacity = 10, .ordered = true});
  std::vector<std::string> words;
  for (int i = 0; i < 100; ++i) words.push_back("a word that is not short " + std::to_string(i));
  const std::vector<std::string> kept = words;
  gofer::go([&] {
    EXPECT_EQ(pool.submit(words), 100U);
    EXPECT_EQ(words, kept);
    EXPECT_EQ(pool.submit(words | std::views::take(50)), 150U);
    EXPECT_EQ(pool.submit(std::move(words)), 250U);
    EXPECT_TRUE(std::ranges::all_of(words, &std::string::empty));  // NOLINT(bugprone-use-after-move): from elements
    EXPECT_EQ(pool.submit(std::vector<std::string>()), 0U);
    pool.drain();
  });
  std::size_t n = 0;
  for (auto& r : pool.results()) {
    const std::size_t from = n < 100 ? n : n < 150 ? n - 100 : n - 150;
    EXPECT_EQ(r.value(), kept[from] + "!");
    EXPECT_EQ(r.id, ++n);
  }
  EXPECT_EQ(n, 250U);
}

TEST(WorkerPoolBatches, AreAcceptedInPartWhenTheRangeThrows) {
  gofer::worker_pool<int> pool([](int) {}, {.min_workers = 2});
  EXPECT_EQ(pool.submit(std::views::iota(0, 100) | std::views::filter([](int i) { return i % 2 == 0; })), 50U);
  const auto throws = [](int i) { return i == 40 ? throw std::runtime_error("forty") : i; };
  EXPECT_THROW(pool.submit(std::views::iota(0, 100) | std::views::transform(throws)), std::runtime_error);
  pool.drain();
  EXPECT_EQ(pool.stats().submitted, 50 + gofer::tasks::job_memory::at_a_time);
  test::expect_the_law(pool);
}

TEST(WorkerPoolBatches, AreAcceptedInPartWhenThePoolIsFullOrEnds) {
  gofer::latch go_on(1);
  gofer::worker_pool<int> pool([&](int) { go_on.wait(); },
                               {.min_workers = 1, .queue_capacity = 5, .when_full = gofer::overflow::reject});
  EXPECT_THROW(pool.submit(std::views::iota(0, 100)), gofer::queue_full);
  const auto full = pool.stats();
  EXPECT_EQ(full.submitted, full.queued + full.busy);
  EXPECT_GE(full.submitted, 5U);
  EXPECT_LE(full.submitted, 6U);
  go_on.count_down();
  pool.drain();
  EXPECT_THROW(pool.submit(std::views::iota(0, 100)), gofer::pool_stopped);
  EXPECT_EQ(pool.stats().completed, full.submitted);
}

TEST(WorkerPoolFutures, TakeCallablesOfAnyType) {
  gofer::worker_pool<> pool({.min_workers = 2});
  auto number = pool.submit([] { return 7; });
  auto text = pool.submit([own = std::make_unique<std::string>("x")](std::stop_token) { return *own; });
  auto nothing = pool.submit([] {});
  auto error = pool.submit([]() -> int { throw std::out_of_range("x"); });
  EXPECT_EQ(number.get(), 7);
  EXPECT_EQ(text.get(), "x");
  nothing.get();
  EXPECT_THROW(error.get(), std::out_of_range);
}

TEST_P(WorkerPool, SubmittingToAStoppedPoolThrowsInEveryInterleaving) {
  for (int round = 0; round < test::times(100); ++round) {
    gofer::worker_pool<int, int> pool([](int i) { return i; }, {.min_workers = 2, .queue_capacity = 2});
    std::atomic<int> accepted{0};
    test::run_in(GetParam(), 4, [&](int i) {
      if (i == 3) {
        gofer::yield();
        return round % 2 == 0 ? pool.stop() : pool.drain();
      }
      try {
        for (;;) {
          pool.submit(1);
          ++accepted;
        }
      } catch (const gofer::pool_stopped&) {
      }
    });
    int results = 0;
    for (auto& r : pool.results()) {
      ++results;
      if (r.ok()) continue;
      EXPECT_THROW(r.value(), gofer::task_discarded);
    }
    EXPECT_EQ(results, accepted);
    test::expect_the_law(pool);
  }
}

TEST(WorkerPoolQueue, RejectsWhenFullIfAsked) {
  gofer::latch go_on(1);
  gofer::worker_pool<> pool({.min_workers = 1, .queue_capacity = 1, .when_full = gofer::overflow::reject});
  gofer::latch running(1);
  auto first = pool.submit([&] {
    running.count_down();
    go_on.wait();
  });
  running.wait();
  auto second = pool.submit([] {});
  EXPECT_THROW(pool.submit([] {}), gofer::queue_full);
  EXPECT_EQ(pool.stats().rejected, 1U);
  go_on.count_down();
  second.get();
}

TEST(WorkerPoolQueue, TrySubmitLeavesTheTaskUntouched) {
  gofer::latch go_on(1);
  gofer::latch running(1);
  gofer::worker_pool<std::string> pool(
      [&](const std::string& s) {
        if (s != "blocks") return;
        running.count_down();
        go_on.wait();
      },
      {.min_workers = 1, .queue_capacity = 1});
  pool.submit("blocks");
  running.wait();
  EXPECT_TRUE(pool.try_submit("waits"));
  std::string third(100, 'x');
  EXPECT_FALSE(pool.try_submit(std::move(third)));
  EXPECT_FALSE(pool.submit_for(std::move(third), 1ms));
  EXPECT_EQ(third, std::string(100, 'x'));
  go_on.count_down();
  EXPECT_TRUE(pool.submit_for(std::move(third), 1h));
  pool.drain();
  EXPECT_EQ(pool.stats().completed, 3U);
}

TEST(WorkerPoolQueue, DiscardsTheOldestIfAsked) {
  gofer::latch go_on(1);
  gofer::latch running(1);
  gofer::worker_pool<int, int> pool(
      [&](int i) {
        if (i == 0) {
          running.count_down();
          go_on.wait();
        }
        return i;
      },
      {.min_workers = 1, .queue_capacity = 2, .when_full = gofer::overflow::discard_oldest});
  pool.submit(0);
  running.wait();
  for (int i = 1; i <= 4; ++i) pool.submit(i);
  go_on.count_down();
  pool.drain();
  std::map<std::uint64_t, bool> ok;
  for (auto& r : pool.results()) ok[r.id] = r.ok();
  EXPECT_EQ(ok, (std::map<std::uint64_t, bool>{{1, true}, {2, false}, {3, false}, {4, true}, {5, true}}));
  EXPECT_EQ(pool.stats().discarded, 2U);
}

TEST(WorkerPoolQueue, RunsInTheCallerIfAsked) {
  gofer::latch go_on(1);
  gofer::latch running(1);
  gofer::worker_pool<int, bool> pool(
      [&](int i) {
        if (i == 0) {
          running.count_down();
          go_on.wait();
        }
        return gofer::this_worker::number() != 0;
      },
      {.min_workers = 1, .queue_capacity = 1, .when_full = gofer::overflow::caller_runs});
  pool.submit(0);
  running.wait();
  pool.submit(1);
  pool.submit(2);  // runs here, and returns
  EXPECT_EQ(pool.stats().completed, 1U);
  go_on.count_down();
  pool.drain();
  for (auto& r : pool.results()) EXPECT_EQ(r.value(), r.id != 3);
}

// Each task submits two more to its own pool, until the queue is full and nobody is left to take from it.
TEST(WorkerPoolQueue, TasksThatSubmitToTheirOwnPoolAreToldBeforeAllAreStuck) {
  gofer::worker_pool<int, int>* own = nullptr;
  gofer::worker_pool<int, int> pool(
      [&](int depth) {
        for (int i = 0; i < 2 && depth < 20; ++i) own->submit(depth + 1);
        return depth;
      },
      {.min_workers = 2, .queue_capacity = 2});
  own = &pool;
  pool.submit(0);
  for (auto& r : pool.results()) {
    if (r.ok()) continue;
    EXPECT_NE(r.message().find("every worker would wait for room"), std::string::npos) << r.message();
    break;
  }
  pool.stop();
}

/// What one worker does with tasks that were submitted while it was busy, in its order.
template <class Submit>
std::vector<int> order_of(gofer::worker_pool_options options, Submit&& submit) {
  std::vector<int> order;
  gofer::latch go_on(1);
  options.min_workers = 1;
  gofer::worker_pool<int> pool(
      [&](int i) {
        if (i < 0) return go_on.wait();
        order.push_back(i);
      },
      options);
  pool.submit(-1);
  while (pool.stats().busy == 0) gofer::yield();
  submit(pool);
  go_on.count_down();
  pool.drain();
  return order;
}

TEST(WorkerPoolOrder, AsManyTasksAsThereAreWorkersMayWaitForEachOther) {
  constexpr int workers = 3;
  std::deque<gofer::latch> groups;
  for (int i = 0; i < test::times(3000); ++i) groups.emplace_back(workers);
  gofer::worker_pool<gofer::latch*> pool([](gofer::latch* others) { others->arrive_and_wait(); },
                                         {.min_workers = workers});
  for (gofer::latch& group : groups) {
    for (int w = 0; w < workers; ++w) pool.submit(&group);
  }
  pool.drain();
  EXPECT_EQ(pool.stats().completed, groups.size() * workers);
}

TEST(WorkerPoolPriorities, HigherOnesAreTakenFirst) {
  const auto order = order_of({}, [](auto& pool) {
    pool.submit(1);
    pool.submit(2, {.priority = -1});
    pool.submit(3, {.priority = 2});
    pool.submit(4, {.priority = 1});
    pool.submit(5, {.priority = 2});
    EXPECT_TRUE(pool.try_submit(6, {.priority = 1}));
    EXPECT_EQ(pool.stats().queued, 6U);
  });
  EXPECT_EQ(order, (std::vector{3, 5, 4, 6, 1, 2}));
}

TEST(WorkerPoolPriorities, DoNotStarveTheOthers) {
  const auto order = order_of({.priority_step = 3}, [](auto& pool) {
    pool.submit(0);
    for (int i = 1; i < 10; ++i) pool.submit(i, {.priority = 1});
  });
  // Overtaken by those that were submitted within three of it.
  EXPECT_EQ(order, (std::vector{1, 2, 0, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_THROW(gofer::worker_pool<int>([](int) {}, {.priority_step = 2'000'000'000}), std::invalid_argument);
}

TEST(WorkerPoolPriorities, TheOldestIsDiscardedWhateverItsPriority) {
  const auto order = order_of({.queue_capacity = 3, .when_full = gofer::overflow::discard_oldest}, [](auto& pool) {
    pool.submit(1, {.priority = 5});
    pool.submit(2, {.key = 7});
    pool.submit(3, {.key = 7});
    pool.submit(4);                   // instead of 1
    pool.submit(5);                   // instead of 2, whose key is the third's now
    pool.submit(6, {.priority = 9});  // instead of 3
    EXPECT_EQ(pool.stats().discarded, 3U);
  });
  EXPECT_EQ(order, (std::vector{6, 4, 5}));
}

TEST_P(WorkerPool, TasksOfOneKeyRunOneAfterAnotherInOrder) {
  constexpr int keys = 5;
  struct line {
    std::atomic<int> inside{0};
    int last = -1;  // plain: the key is its lock
  };
  std::array<line, keys> lines;
  using task = std::pair<int, int>;
  gofer::worker_pool<task, task> pool(
      [&](task t) {
        line& mine = lines[static_cast<std::size_t>(t.first)];
        EXPECT_EQ(++mine.inside, 1);
        EXPECT_EQ(mine.last, t.second - 1);
        mine.last = t.second;
        if (t.second % 16 == 0) gofer::sleep_for(10us);
        if (t.second % 64 == 7) gofer::yield();
        --mine.inside;
        return t;
      },
      {.min_workers = 4, .queue_capacity = 20});
  const int each = test::times(2000);
  gofer::go([&] {
    test::run_in(GetParam(), keys, [&](int k) {
      for (int i = 0; i < each; ++i) {
        pool.submit(task(k, i), {.priority = i % 3, .key = static_cast<std::uint64_t>(k)});
      }
    });
    pool.drain();
  });
  std::array<int, keys> next{};
  for (auto& r : pool.results()) {
    const task t = r.value();
    EXPECT_EQ(t.second, next[static_cast<std::size_t>(t.first)]++);
  }
  for (const int n : next) EXPECT_EQ(n, each);
  const auto s = pool.stats();
  EXPECT_EQ(s.completed, static_cast<std::uint64_t>(keys * each));
}

TEST(WorkerPoolKeys, AreKeptByARetryAndByTheCaller) {
  int calls = 0;
  std::vector<int> order;
  gofer::worker_pool<int> pool(
      [&](int i) {
        if (++calls == 1) throw std::runtime_error("once");
        order.push_back(i);
      },
      {.min_workers = 2,
       .queue_capacity = 1,
       .when_full = gofer::overflow::caller_runs,
       .max_attempts = 2,
       .backoff = 5ms});
  for (int i = 0; i < 5; ++i) pool.submit(i, {.key = 1});
  pool.drain();
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
}

TEST_P(WorkerPool, AWaitForItMayHaveAnEnd) {
  gofer::latch go_on(1);
  gofer::worker_pool<std::string> pool([&](const std::string&) { go_on.wait(); },
                                       {.min_workers = 1, .queue_capacity = 1});
  pool.submit("is run");
  while (pool.stats().busy == 0) gofer::yield();
  pool.submit("is queued");
  test::run_in(GetParam(), 1, [&](int) {
    EXPECT_FALSE(pool.wait_idle_for(1ms));
    std::stop_source stop;
    gofer::go([stop]() mutable { stop.request_stop(); });
    EXPECT_FALSE(pool.wait_idle(stop.get_token()));
    std::string third(100, 'x');
    EXPECT_FALSE(pool.submit(std::move(third), stop.get_token()));
    EXPECT_EQ(third, std::string(100, 'x'));  // NOLINT(bugprone-use-after-move): untouched
    gofer::go([&] { go_on.count_down(); });
    EXPECT_TRUE(pool.submit(std::move(third), std::stop_token()));
    EXPECT_TRUE(pool.wait_idle_for(1h));
    EXPECT_TRUE(pool.wait_idle(stop.get_token()));
  });
}

TEST(WorkerPoolScaling, GrowsUnderLoadAndShrinksAfterwards) {
  std::atomic<int> up{0};
  std::atomic<int> down{0};
  gofer::worker_pool<int> pool(
      [](int) { gofer::sleep_for(5ms); },
      {.min_workers = 2,
       .max_workers = 5,
       .scale_interval = 1ms,
       .idle_timeout = 5ms,
       .on_scale = [&](std::size_t before, std::size_t after) { ++(after > before ? up : down); }});
  for (int i = 0; i < 60; ++i) pool.submit(i);
  while (up != 3) gofer::sleep_for(200us);
  pool.wait_idle();
  while (down != 3) gofer::sleep_for(200us);
  EXPECT_EQ(pool.stats().workers, 2U);
  const auto s = pool.stats();
  EXPECT_EQ(s.grown, 3U);
  EXPECT_EQ(s.shrunk, 3U);
  EXPECT_EQ(s.completed, 60U);
}

TEST(WorkerPoolScaling, IsResizedAtRunTime) {
  gofer::worker_pool<int> pool([](int) {}, {.min_workers = 1});
  pool.resize(4, 4);
  EXPECT_EQ(pool.stats().workers, 4U);
  pool.resize(2, 2);
  while (pool.stats().workers != 2) gofer::sleep_for(100us);
  EXPECT_THROW(pool.resize(3, 2), std::invalid_argument);
}

TEST(WorkerPoolRetries, WaitTwiceAsLongEachTimeButForUpToAHalf) {
  using gofer::tasks::backoff_before;
  EXPECT_EQ(backoff_before(2, 5ms, 1h, 0), 5ms);
  EXPECT_EQ(backoff_before(4, 5ms, 1h, 0), 20ms);
  EXPECT_EQ(backoff_before(100, 5ms, 1h, 0), 1h);
  const auto least = backoff_before(100, 5ms, 1h, UINT64_MAX);
  EXPECT_GE(least, 30min);
  EXPECT_LT(least, 31min);
  constexpr auto longest = std::chrono::nanoseconds::max();
  EXPECT_EQ(backoff_before(100, 1h, longest, 0), longest);
  EXPECT_GE(backoff_before(100, 1h, longest, UINT64_MAX), longest / 2);
}

TEST(WorkerPoolRetries, WhatCannotBeCopiedIsLentOrNotTriedAgain) {
  using number = std::unique_ptr<int>;
  const gofer::worker_pool_options twice{.name = "numbers", .max_attempts = 2, .backoff = 1ms};
  gofer::worker_pool<number, int> lent(
      [first = true](const number& n) mutable {
        if (std::exchange(first, false)) throw std::runtime_error("not yet");
        return *n;
      },
      twice);
  lent.submit(std::make_unique<int>(7));
  const auto result = lent.results().receive();
  EXPECT_EQ(result->attempts, 2U);
  EXPECT_EQ(result->returned_, 7);
  try {
    const gofer::worker_pool<number, int> taken([](number n) { return *n; }, twice);
    FAIL() << "the second attempt would get nothing";
  } catch (const std::invalid_argument& e) {
    EXPECT_STREQ(
        e.what(),
        "worker_pool \"numbers\": max_attempts is 2, but a task that cannot be copied is gone after the first");
  }
}

TEST(WorkerPoolRetries, WhatIsOnlySaidToBeCopyableIsNotCopied) {
  using numbers = std::vector<std::unique_ptr<int>>;
  const auto one_number = [] {
    numbers some;
    some.push_back(std::make_unique<int>(7));
    return some;
  };
  const auto sum = [](const numbers& some) { return *some.front(); };
  gofer::worker_pool<numbers, int> pool(sum);
  pool.submit(one_number());
  EXPECT_EQ(pool.results().receive()->value(), 7);
  gofer::worker_pool<std::map<int, numbers>, std::size_t> taken([](std::map<int, numbers> all) { return all.size(); });
  taken.submit({});
  EXPECT_EQ(taken.results().receive()->value(), 0U);
  EXPECT_THROW((gofer::worker_pool<numbers, int>(sum, {.max_attempts = 2})), std::invalid_argument);

  struct batch {
    numbers some;
  };
  gofer::worker_pool<batch, int> lent(
      [&sum, first = true](const batch& b) mutable {
        if (std::exchange(first, false)) throw std::runtime_error("not yet");
        return sum(b.some);
      },
      {.max_attempts = 2, .backoff = 1ms});
  lent.submit(batch{one_number()});
  EXPECT_EQ(lent.results().receive()->value(), 7);
}

TEST(WorkerPoolRetries, TriesAgainWithBackoff) {
  std::atomic<int> calls{0};
  gofer::worker_pool<int, int> pool(
      [&](int i) {
        if (++calls < 3) throw std::runtime_error("not yet");
        return i;
      },
      {.min_workers = 1, .max_attempts = 5, .backoff = 1ms, .max_backoff = 2ms});
  pool.submit(9);
  pool.drain();
  auto r = pool.results().receive();
  EXPECT_EQ(r->value(), 9);
  EXPECT_EQ(r->attempts, 3U);
  EXPECT_EQ(pool.stats().retried, 2U);
}

TEST(WorkerPoolTimeouts, RequestAStopOfTheTask) {
  gofer::worker_pool<int, bool> pool([](int, std::stop_token stop) { return gofer::sleep_for(1h, stop); },
                                     {.min_workers = 1, .task_timeout = 2ms});
  pool.submit(1);
  pool.drain();
  auto r = pool.results().receive();
  EXPECT_FALSE(r->value());
  EXPECT_TRUE(r->timed_out);
  EXPECT_EQ(pool.stats().timed_out, 1U);
}

/// However many tasks go through it.
void expect_memory_of_a_pool_to_stay(const gofer::worker_pool_options& options) {
  gofer::worker_pool<int, int> pool([](int i) { return i; }, options);
  auto results = pool.results();
  const auto let_through = [&](int count) {
    gofer::wait_group all;
    all.go([&] { pool.submit(std::views::iota(0, count)); });
    all.go([&] {
      for (int i = 0; i < count; ++i) results.receive();
    });
    all.wait();
  };
  let_through(10'000);
  const double before = test::resident_bytes();
  let_through(test::times(10'000'000));
  if (test::sanitized) return;  // what is freed is kept for a while then
  EXPECT_LT(test::resident_bytes() - before, 4 << 20);
}

TEST(WorkerPoolMemory, StaysHoweverManyTasksGoThrough) {
  expect_memory_of_a_pool_to_stay({.min_workers = 4});
  expect_memory_of_a_pool_to_stay({.min_workers = 4, .ordered = true});
}

TEST(WorkerPoolOptions, ThatCannotBeAreRefused) {
  const auto process = [](int) {};
  EXPECT_THROW(gofer::worker_pool<int>(process, {.min_workers = 3, .max_workers = 2}), std::invalid_argument);
  EXPECT_THROW(gofer::worker_pool<int>(process, {.queue_capacity = 0}), std::invalid_argument);
  EXPECT_THROW(gofer::worker_pool<int>(process, {.max_attempts = 0}), std::invalid_argument);
  EXPECT_THROW(gofer::worker_pool<int>(process, {.scale_interval = 0ms}), std::invalid_argument);
}

TEST_P(WorkerPool, StressTheLawHoldsWhileEverythingHappens) {
  for (int round = 0; round < test::times(60); ++round) {
    const auto when_full = static_cast<gofer::overflow>(round % 4);
    const bool ordered = round % 5 < 2;
    gofer::worker_pool<int, int> pool(
        [](int i) {
          if (i % 7 == 0) throw std::runtime_error("seven");
          if (i % 11 == 0) gofer::sleep_for(50us);
          return i;
        },
        {.min_workers = 1,
         .max_workers = 6,
         .queue_capacity = 4,
         .result_capacity = 2,
         .when_full = when_full,
         .scale_interval = 100us,
         .idle_timeout = 200us,
         .max_attempts = round % 2 == 0 ? 1U : 2U,
         .backoff = 10us,
         .ordered = ordered});
    std::atomic<int> accepted{0};
    std::atomic<int> results{0};
    test::run_in(GetParam(), 6, [&](int i) {
      if (i == 0) {
        for (auto& r : pool.results()) {
          ++results;
          if (ordered) {
            EXPECT_EQ(r.id, static_cast<unsigned>(results));
          }
        }
      } else if (i == 1) {
        for (int k = 0; k < 20; ++k) {
          pool.resize(static_cast<std::size_t>(k % 3 + 1), 6);
          test::expect_the_law(pool);
          gofer::sleep_for(50us);
        }
        round % 3 == 0 ? pool.stop() : pool.drain();
      } else {
        for (int k = 0; k < 300; ++k) {
          try {
            pool.submit(k);
            ++accepted;
          } catch (const gofer::queue_full&) {
            gofer::yield();
          } catch (const gofer::pool_stopped&) {
            return;
          }
        }
      }
    });
    EXPECT_EQ(results, accepted);
    const auto s = pool.stats();
    EXPECT_EQ(s.submitted, static_cast<std::uint64_t>(accepted.load()));
    EXPECT_EQ(s.queued + s.busy, 0U);
    test::expect_the_law(pool);
  }
}

}  // namespace
