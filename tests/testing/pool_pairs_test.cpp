// Any two operations on a pool, at any moment of each other: in every state of it, whatever it does when it is
// full, and whether its results come in order or not. Under explored schedules every accepted task has one result, the
// numbers add up, and whoever has ended the pool finds it ended.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <vector>

#include <gofer/gofer.hpp>

#include "support/explored.hpp"
#include "support/pool_law.hpp"

namespace {

using namespace std::chrono_literals;
using gofer::overflow;
using test::expect_the_law;

struct pool_of_numbers : gofer::worker_pool<int, int> {
  using worker_pool::worker_pool;
  std::vector<std::uint64_t> taken;  // by operations: the ids of the results
};

/// Nothing is left once somebody has waited for the end.
void expect_the_end(pool_of_numbers& of) {
  const auto s = of.stats();
  EXPECT_EQ(s.queued + s.busy, 0U);
  EXPECT_EQ(s.workers, 0U);
  EXPECT_TRUE(of.results().closed());
  EXPECT_THROW(of.try_submit(9), gofer::pool_stopped);
}

struct pool_operation {
  std::string name;
  std::function<void(pool_of_numbers&)> run;
};

/// What a submitter has to be prepared for.
std::function<void(pool_of_numbers&)> submitting_to_pool(std::function<void(pool_of_numbers&)> submit) {
  return [=](pool_of_numbers& to) {
    try {
      submit(to);
    } catch (const gofer::pool_stopped&) {
    } catch (const gofer::queue_full&) {
    }
  };
}

std::stop_token a_stopped_token() {
  std::stop_source source;
  source.request_stop();
  return source.get_token();
}

const std::vector<pool_operation>& pool_operations() {
  static const std::vector<pool_operation> all{
      {"submit", submitting_to_pool([](pool_of_numbers& p) { p.submit(1); })},
      {"submit one that fails", submitting_to_pool([](pool_of_numbers& p) { p.submit(0); })},
      {"submit three", submitting_to_pool([](pool_of_numbers& p) { p.submit(std::array{1, 2, 3}); })},
      {"submit one of a key", submitting_to_pool([](pool_of_numbers& p) { p.submit(1, {.key = 7}); })},
      {"submit an urgent one", submitting_to_pool([](pool_of_numbers& p) { p.submit(1, {.priority = 1}); })},
      {"try_submit", submitting_to_pool([](pool_of_numbers& p) { p.try_submit(1); })},
      {"submit_for", submitting_to_pool([](pool_of_numbers& p) { p.submit_for(1, 1ms); })},
      {"submit, stopped", submitting_to_pool([](pool_of_numbers& p) { p.submit(1, a_stopped_token()); })},
      {"receive",
       [](pool_of_numbers& p) {
         std::optional<gofer::task_result<int>> got;
         p.results().receive_for(got, 1ms);
         if (got) p.taken.push_back(got->id);
       }},
      {"drain",
       [](pool_of_numbers& p) {
         p.drain();
         expect_the_end(p);
       }},
      {"drain_for",
       [](pool_of_numbers& p) {
         p.drain_for(1ms);
         expect_the_end(p);
       }},
      {"drain, stopped",
       [](pool_of_numbers& p) {
         p.drain(a_stopped_token());
         expect_the_end(p);
       }},
      {"stop",
       [](pool_of_numbers& p) {
         p.stop();
         expect_the_end(p);
       }},
      {"wait_idle", [](pool_of_numbers& p) { p.wait_idle(); }},
      {"wait_idle_for", [](pool_of_numbers& p) { p.wait_idle_for(1ms); }},
      {"resize, more", [](pool_of_numbers& p) { p.resize(2, 3); }},
      {"resize, fewer", [](pool_of_numbers& p) { p.resize(1, 1); }},
      {"stats", [](pool_of_numbers& p) { expect_the_law(p); }},
  };
  return all;
}

struct pool_setting {
  std::string name;
  int submitted_before;  // to a pool of one or two workers, with room for one
  overflow when_full;
  bool ordered;
};

std::vector<pool_setting> pool_settings() {
  const std::map<std::string, int> states{{"Idle", 0}, {"AtWork", 1}, {"Full", 2}};
  const std::map<std::string, overflow> policies{{"Blocks", overflow::block},
                                                 {"Rejects", overflow::reject},
                                                 {"DiscardsTheOldest", overflow::discard_oldest},
                                                 {"CallersRun", overflow::caller_runs}};
  std::vector<pool_setting> all;
  for (const auto& [state, before] : states) {
    for (const auto& [policy, when_full] : policies) {
      for (const bool ordered : {false, true}) {
        all.push_back({state + "_" + policy + (ordered ? "_Ordered" : ""), before, when_full, ordered});
      }
    }
  }
  return all;
}

/// Both at once, then the end, and what there is to say of it.
void play_both(const pool_setting& in, const pool_operation& a, const pool_operation& b) {
  bool gone = false;
  std::vector<std::uint64_t> ids;
  std::uint64_t submitted = 0;
  {
    pool_of_numbers p(
        [](int i, const std::stop_token& stop) {
          gofer::sleep_for(500us, stop);
          if (i == 0) throw std::runtime_error("zero");
          return i;
        },
        {.min_workers = 1,
         .max_workers = 2,
         .queue_capacity = 1,
         .result_capacity = 1,
         .when_full = in.when_full,
         .scale_interval = 300us,
         .idle_timeout = 200us,
         .max_attempts = 2,
         .backoff = 100us,
         .ordered = in.ordered,
         .on_scale = [&](std::size_t, std::size_t) {
           gofer::yield();
           EXPECT_FALSE(gone);
         }});
    for (int i = 0; i < in.submitted_before; ++i) {
      p.submit(1);
      while (i == 0 && p.stats().busy == 0) gofer::yield();
    }
    // Once somebody has received, workers wait for those who do: then somebody has to go on. Else nobody comes until
    // all is over.
    const bool received = a.name == "receive" || b.name == "receive";
    const auto read = [&, results = p.results()] {
      for (const auto& r : results) ids.push_back(r.id);
    };
    gofer::wait_group both;
    gofer::wait_group reader;
    if (received) reader.go(read);
    for (const pool_operation* op : {&a, &b}) {
      both.go([&p, op] {
        op->run(p);
        expect_the_law(p);
      });
    }
    both.wait();
    p.drain();
    expect_the_end(p);
    received ? reader.wait() : read();
    EXPECT_TRUE(!in.ordered || std::ranges::is_sorted(ids));
    ids.insert(ids.end(), p.taken.begin(), p.taken.end());
    submitted = p.stats().submitted;
    EXPECT_EQ(ids.size(), submitted);
    expect_the_law(p);
  }
  gone = true;
  gofer::sleep_for(1ms);  // for an observer that is late
  EXPECT_EQ(std::set(ids.begin(), ids.end()).size(), ids.size());
  for (const std::uint64_t id : ids) EXPECT_TRUE(id >= 1 && id <= submitted);
}

class PoolPairs : public testing::TestWithParam<pool_setting> {};

TEST_P(PoolPairs, LoseNoTaskAndEndWhatTheyEnd) {
  const auto& all = pool_operations();
  std::uint64_t seed = 1;
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t k = i; k < all.size(); ++k) {
      try {
        gofer::testing::explore([&] { play_both(GetParam(), all[i], all[k]); },
                                {.schedules = test::schedules() / 100, .seed = seed++});
      } catch (const gofer::testing::schedule_failure& e) {
        ADD_FAILURE() << all[i].name << " and " << all[k].name << "\n" << e.what();
      }
      if (HasFailure()) {
        ADD_FAILURE() << "in: " << all[i].name << " and " << all[k].name;
        return;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(That, PoolPairs, testing::ValuesIn(pool_settings()),
                         [](const auto& of) { return of.param.name; });

}  // namespace
