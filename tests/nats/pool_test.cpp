// A pool on a real server: what its users are promised.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <gofer/gofer.hpp>
#include <gofer/nats_pool.hpp>
#include <gofer/nats_queue.hpp>

#include "nats/client.hpp"
#include "support/callers.hpp"
#include "support/nats_server.hpp"

// In a namespace with a name, so that what is generated for them is not unused.
namespace travel {

struct parcel {
  int weight = 0;
  std::string to;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(parcel, weight, to)

}  // namespace travel

/// A type with a form of its own.
struct coin {
  bool head = false;
};
template <>
struct gofer::nats_codec<coin> {
  static std::string encode(coin c) { return c.head ? "h" : "t"; }
  static coin decode(std::string_view bytes) {
    if (bytes != "h" && bytes != "t") throw std::runtime_error("it is on its edge");
    return {.head = bytes == "h"};
  }
};

/// One that can only be moved, which may throw, and for which there may be no memory.
struct seal {
  explicit seal(int n) : number(std::make_unique<int>(n)) {}
  seal(seal&& other) noexcept(false) {
    if (moves-- == 0) throw std::runtime_error("it is broken");
    number = std::move(other.number);
  }
  std::unique_ptr<int> number;
  inline static std::atomic<int> moves{-1};   // until one throws
  inline static std::atomic<int> memory{-1};  // decodings until there is none for one
};
template <>
struct gofer::nats_codec<seal> {
  static std::string encode(const seal& s) { return std::to_string(*s.number); }
  static seal decode(std::string_view bytes) {
    if (seal::memory-- == 0) throw std::bad_alloc();
    return seal(std::stoi(std::string(bytes)));
  }
};

namespace {

using namespace std::chrono_literals;
using gofer::nats_pool;
using gofer::nats_pool_options;
using gofer::nats_pool_stats;
using gofer::nats_queue;
using gofer::nats_task;
using testing::HasSubstr;

class NatsPool : public testing::Test {
 protected:
  nats_pool_options named(nats_pool_options o = {}) {
    o.name = "test";
    o.server = server_.options();
    return o;
  }

  nats_queue queue() { return nats_queue("test", server_.options()); }

  /// Until it holds; false after ten seconds.
  template <class F>
  static bool soon(F&& holds) {
    for (int i = 0; i < 1000; ++i) {
      if (holds()) return true;
      gofer::sleep_for(10ms);
    }
    return false;
  }

  nats_server server_;
};

/// What a call throws, in words.
template <class Error, class F>
std::string refusal(F&& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.what();
  }
  return "nothing was thrown";
}

TEST_F(NatsPool, EveryTaskHasOneResult) {
  nats_pool<int, int> pool([](int i) { return i * i; }, named());
  gofer::go([&] {
    EXPECT_EQ(pool.submit(std::views::iota(0, 1000)), 1000U);
    pool.drain();
  });
  std::multiset<int> squares;
  std::set<std::string> ids;
  for (auto& result : pool.results()) {
    EXPECT_TRUE(result.ok()) << result.message();
    EXPECT_EQ(result.attempts, 1U);
    squares.insert(result.value());
    ids.insert(result.id);
  }
  EXPECT_EQ(ids.size(), 1000U);
  ASSERT_EQ(squares.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(squares.count(i * i), 1U) << i;
}

TEST_F(NatsPool, OneSubmitsAndOthersWork) {
  nats_pool<travel::parcel, std::string> office(named());
  const auto carry = [](const travel::parcel& p) { return std::to_string(p.weight) + " kg to " + p.to; };
  nats_pool<travel::parcel, std::string> first(carry, named());
  nats_pool<travel::parcel, std::string> second(carry, named());
  const std::string id = office.submit({.weight = 3, .to = "Bern"});
  auto result = office.results().receive();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->id, id);
  EXPECT_EQ(result->value(), "3 kg to Bern");
  office.drain();
  EXPECT_FALSE(office.results().receive());
}

TEST_F(NatsPool, HandlersMayAskForTheTask) {
  const auto before = std::chrono::system_clock::now();
  gofer::chan<nats_task> seen(1);
  nats_pool<int> pool([&](int, const nats_task& task) { seen.send(task); }, named());
  pool.submit(1, {.id = "order/17*.>="});
  const nats_task task = *seen.receive();
  EXPECT_EQ(task.id, "order/17*.>=");
  EXPECT_EQ(task.attempt, 1U);
  EXPECT_TRUE(task.stop.stop_possible());
  EXPECT_GE(task.submitted, before - 1s);
  EXPECT_LE(task.submitted, std::chrono::system_clock::now() + 1s);
  EXPECT_THAT(refusal<std::invalid_argument>([&] { pool.submit(1, {.id = "a b"}); }), HasSubstr("without spaces"));
}

TEST_F(NatsPool, HandlersMayAskForAStop) {
  std::atomic<int> stops{0};
  nats_pool<int> pool([&](int, std::stop_token token) { stops += token.stop_possible() ? 1 : 0; }, named());
  pool.submit(3);
  pool.drain();
  EXPECT_EQ(stops, 1);
}

TEST_F(NatsPool, AFormOfItsOwn) {
  nats_pool<coin, coin> pool([](coin c) { return coin{.head = !c.head}; }, named());
  pool.submit({.head = true});
  auto result = pool.results().receive();
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->value().head);
}

TEST_F(NatsPool, WhatThrowsIsTriedAgainAndThenLiesWithTheDead) {
  std::atomic<int> runs{0};
  std::vector<std::chrono::steady_clock::time_point> at;
  nats_pool<int, int> pool(
      [&](int, const nats_task& task) -> int {
        at.push_back(std::chrono::steady_clock::now());
        EXPECT_EQ(task.attempt, static_cast<unsigned>(++runs));
        throw std::runtime_error("the moon is \"wrong\"\nand so is the tide");
      },
      named({.min_workers = 1, .max_attempts = 3, .backoff = 200ms}));
  const std::string id = pool.submit(7);
  auto result = pool.results().receive();
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->ok());
  EXPECT_EQ(result->id, id);
  EXPECT_EQ(result->attempts, 3U);
  EXPECT_EQ(result->message(), "the moon is \"wrong\"\nand so is the tide");
  EXPECT_THROW(result->value(), gofer::nats_task_failed);
  ASSERT_EQ(at.size(), 3U);
  EXPECT_GE(at[1] - at[0], 100ms);
  EXPECT_GE(at[2] - at[1], 200ms);
  pool.drain();
  const nats_pool_stats s = pool.stats();
  EXPECT_EQ(s.failed, 1U);
  EXPECT_EQ(s.retried, 2U);
  EXPECT_EQ(s.dead, 1U);
  const auto letters = queue().dead();
  ASSERT_EQ(letters.size(), 1U);
  EXPECT_EQ(letters[0].id, id);
  EXPECT_EQ(letters[0].error, "the moon is \"wrong\"\nand so is the tide");
  EXPECT_EQ(letters[0].attempts, 3U);
  EXPECT_EQ(letters[0].payload, "7");
  EXPECT_LT(std::chrono::abs(letters[0].died - std::chrono::system_clock::now()), 10s);
  EXPECT_LE(letters[0].submitted, letters[0].died);
}

TEST_F(NatsPool, AttemptsAreCountedAcrossWorkers) {
  const auto options = named({.min_workers = 1, .max_attempts = 3, .backoff = 1s});
  std::vector<unsigned> attempts;
  const auto fail = [&](int, const nats_task& task) {
    attempts.push_back(task.attempt);
    throw std::runtime_error("no");
  };
  std::optional<nats_pool<int>> first(std::in_place, fail, options);
  first->submit(1, {.id = "strange.id=*>"});
  ASSERT_TRUE(soon([&] { return first->stats().retried == 1; }));
  first.reset();
  nats_pool<int> second(fail, options);
  ASSERT_TRUE(soon([&] { return second.stats().dead == 1; }));
  EXPECT_EQ(attempts, (std::vector<unsigned>{1, 2, 3}));
}

TEST_F(NatsPool, WhatCannotBeDecodedGoesToTheDeadAtOnce) {
  std::atomic<int> runs{0};
  nats_pool<std::string> other(named());
  nats_pool<travel::parcel, int> pool(
      [&](const travel::parcel&) {
        ++runs;
        return 1;
      },
      named({.max_attempts = 5}));
  other.submit("not { JSON", {.id = "rubbish"});
  other.submit("{\"weight\": \"heavy\", \"to\": 4}", {.id = "another"});
  pool.submit({.weight = 1, .to = "here"});
  EXPECT_EQ(pool.results().receive()->value(), 1);
  ASSERT_TRUE(soon([&] { return pool.stats().dead == 2; }));
  EXPECT_EQ(pool.stats().undecodable, 2U);
  EXPECT_EQ(runs, 1);
  const auto letters = queue().dead();
  EXPECT_THAT(letters.at(0).error, HasSubstr("cannot be decoded"));
  EXPECT_THAT((std::vector{letters.at(0).id, letters.at(1).id}), testing::UnorderedElementsAre("rubbish", "another"));
}

TEST_F(NatsPool, TakesWhatCanOnlyBeMoved) {
  nats_pool<seal, int> pool([more = std::make_unique<int>(1)](const seal& s) { return *s.number + *more; }, named());
  std::vector<seal> some;
  some.reserve(2);
  some.emplace_back(1);
  some.emplace_back(2);
  EXPECT_EQ(pool.submit(some), 2U);
  EXPECT_EQ(pool.submit(std::move(some), [](const seal& s) { return "seal-" + std::to_string(*s.number); }), 2U);
  pool.submit(seal(5), {.id = "the-last"});
  std::multiset<int> results;
  for (int i = 0; i < 5; ++i) results.insert(pool.results().receive()->value());
  EXPECT_EQ(results, (std::multiset<int>{2, 2, 3, 3, 6}));
}

TEST_F(NatsPool, WhatThereWasNoMemoryForIsTriedAgain) {
  nats_pool<seal, int> pool([](const seal& s) { return *s.number; }, named({.max_attempts = 2, .backoff = 1ms}));
  seal::memory = 0;
  pool.submit(seal(7));
  const auto result = pool.results().receive();
  EXPECT_EQ(result->attempts, 2U);
  EXPECT_EQ(result->returned_, 7);
  EXPECT_EQ(pool.stats().dead, 0U);
}

TEST_F(NatsPool, AResultThatCannotBeMovedIsAnError) {
  for (int most = 0; most < 8; ++most) {
    nats_pool<int, seal> pool([](int i) { return seal(i); }, named());
    const std::string id = pool.submit(most);
    for (seal::moves = most;;) {
      try {
        const auto result = pool.results().receive();
        ASSERT_TRUE(result);
        EXPECT_EQ(result->id, id);
        if (result->ok()) {
          EXPECT_EQ(*result->returned_->number, most);
        } else {
          EXPECT_THAT(result->message(), HasSubstr("it is broken"));
        }
        break;
      } catch (const std::runtime_error&) {  // by the receiver, and it is still there
      }
    }
    seal::moves = -1;
    pool.drain();
  }
}

TEST_F(NatsPool, AnIdIsStoredOnce) {
  std::atomic<int> runs{0};
  nats_pool<int> pool([&](int) { ++runs; }, named());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(pool.submit(1, {.id = "same"}), "same");
  pool.drain();
  const nats_pool_stats s = pool.stats();
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(s.submitted, 3U);
  EXPECT_EQ(s.duplicates, 2U);
  EXPECT_EQ(s.stored, 1U);
}

TEST_F(NatsPool, RefusesWhenItIsFull) {
  nats_pool<int> pool(named({.queue_capacity = 10, .when_full = gofer::overflow::reject}));
  for (int i = 0; i < 10; ++i) pool.submit(i);
  EXPECT_THAT(refusal<gofer::queue_full>([&] { pool.submit(10); }), HasSubstr("10 tasks are stored and not finished"));
  EXPECT_FALSE(pool.try_submit(10));
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_FALSE(pool.submit_for(10, 200ms));
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 200ms);
  EXPECT_EQ(pool.stats().rejected, 3U);
  EXPECT_EQ(pool.stats().queued, 10U);
  EXPECT_THROW(pool.submit(std::views::iota(0, 100)), gofer::queue_full);
}

TEST_F(NatsPool, WaitsForRoom) {
  std::atomic<int> runs{0};
  const auto options = named({.queue_capacity = 10, .min_workers = 1});
  nats_pool<int> pool(options);
  EXPECT_EQ(pool.submit(std::views::iota(0, 10)), 10U);
  nats_pool<int> worker(
      [&](int) {
        gofer::sleep_for(2ms);
        ++runs;
      },
      options);
  EXPECT_EQ(pool.submit(std::views::iota(0, 90)), 90U);
  EXPECT_TRUE(pool.submit_for(1, 10s));
  pool.drain();
  EXPECT_EQ(runs, 101);
}

TEST_F(NatsPool, LetsTheCallerRunWhatFindsNoRoom) {
  std::atomic<int> runs{0};
  gofer::chan<bool> open;
  nats_pool<int, int> pool(
      [&](int i) {
        ++runs;
        if (i == 0) open.receive();
        return i;
      },
      named({.queue_capacity = 2, .when_full = gofer::overflow::caller_runs, .min_workers = 1}));
  pool.submit(0);
  EXPECT_EQ(pool.submit(std::views::iota(1, 20)), 19U);
  EXPECT_GE(runs, 18);
  open.close();
  pool.drain();
  std::set<int> all;
  for (auto& r : pool.results()) all.insert(r.value());
  EXPECT_EQ(all.size(), 20U);
}

/// A pool with one worker that is busy, whose queue is full.
template <class Pool>
void fill(Pool& pool, const gofer::latch& begun) {
  pool.submit(0);
  begun.wait();
}

nats_pool_options caller_runs(nats_pool_options o) {
  o.queue_capacity = 1;
  o.when_full = gofer::overflow::caller_runs;
  o.min_workers = 1;
  return o;
}

TEST_F(NatsPool, AStopIsRequestedOfWhatTheCallerRuns) {
  gofer::latch begun(1);
  gofer::latch in_caller(1);
  nats_pool<int, int> pool(
      [&](int i, std::stop_token stop) {
        (i == 0 ? begun : in_caller).count_down();
        while (!stop.stop_requested()) gofer::sleep_for(1ms);
        return i;
      },
      caller_runs(named()));
  fill(pool, begun);
  gofer::wait_group submitting;
  submitting.go([&] { EXPECT_EQ(pool.submit(1, {.id = "one"}), "one"); });
  in_caller.wait();
  pool.stop();
  submitting.wait();
  std::vector<std::string> given;
  for (const auto& r : pool.results()) given.push_back(r.id);
  EXPECT_THAT(given, testing::Contains("one")) << "it was run to its end";
}

/// A pool whose worker is held by task 0, and whose submitter has run 1 and 2 itself: the result of 2 finds no room.
struct results_without_room {
  explicit results_without_room(const nats_pool_options& options)
      : pool(
            [this](int i) {
              if (i == 0) {
                begun.count_down();
                go_on.wait();
              }
              ++runs;
              return i;
            },
            options) {
    fill(pool, begun);
    submitting.go([this] {
      pool.submit(1);
      pool.submit(2);
    });
  }

  gofer::latch begun{1};
  gofer::latch go_on{1};
  std::atomic<int> runs{0};
  nats_pool<int, int> pool;
  gofer::wait_group submitting;
};

TEST_F(NatsPool, AStopEndsTheWaitForRoomAmongResults) {
  results_without_room with(caller_runs(named({.result_capacity = 1})));
  EXPECT_TRUE(soon([&] { return with.runs == 2; }));
  with.go_on.count_down();
  with.pool.stop();
  with.submitting.wait();
  EXPECT_EQ(std::ranges::distance(with.pool.results()), 1);
}

TEST_F(NatsPool, NobodyNeedsToReceiveForADrainWhateverTheCallerRan) {
  results_without_room with(caller_runs(named({.result_capacity = 1})));
  EXPECT_TRUE(soon([&] { return with.runs == 2; }));
  with.go_on.count_down();
  with.pool.drain();
  with.submitting.wait();
  std::set<int> values;
  for (auto& r : with.pool.results()) values.insert(r.value());
  EXPECT_EQ(values, (std::set{0, 1, 2}));
}

TEST_F(NatsPool, ADrainKeepsItsLimitWhateverTheCallerRuns) {
  gofer::latch begun(1);
  gofer::latch in_caller(1);
  nats_pool<int> pool(
      [&](int i, std::stop_token stop) {
        (i == 0 ? begun : in_caller).count_down();
        while (!stop.stop_requested()) gofer::sleep_for(1ms);
      },
      caller_runs(named()));
  fill(pool, begun);
  gofer::wait_group submitting;
  submitting.go([&] { pool.submit(1); });
  in_caller.wait();
  EXPECT_FALSE(pool.drain_for(100ms));
  submitting.wait();
}

TEST_F(NatsPool, ATaskThatTheCallerRunsMustNotWaitForItself) {
  gofer::latch begun(1);
  gofer::latch go_on(1);
  std::string said;
  nats_pool<int>* self = nullptr;
  nats_pool<int> pool(
      [&](int i) {
        if (i == 0) {
          begun.count_down();
          go_on.wait();
        } else {
          said = refusal<std::logic_error>([&] { self->drain(); });
        }
      },
      caller_runs(named()));
  self = &pool;
  fill(pool, begun);
  pool.submit(1);
  EXPECT_THAT(said, HasSubstr("drain was called in one of its own tasks"));
  go_on.count_down();
  pool.drain();
}

TEST_F(NatsPool, ADeadLetterThatCannotBeStoredIsTheSubmittersError) {
  gofer::latch begun(1);
  gofer::latch in_caller(1);
  gofer::latch go_on(1);
  auto options = caller_runs(named());
  options.server.request_timeout = 200ms;
  nats_pool<int> pool(
      [&](int i) {
        (i == 0 ? begun : in_caller).count_down();
        go_on.wait();
        if (i == 1) throw std::runtime_error("it cannot be done");
      },
      options);
  fill(pool, begun);
  gofer::wait_group submitting;
  submitting.go([&] { EXPECT_THAT(refusal<gofer::nats_error>([&] { pool.submit(1); }), HasSubstr("was not stored")); });
  in_caller.wait();
  server_.kill();
  go_on.count_down();
  EXPECT_FALSE(pool.drain_for(300ms));
  submitting.wait();
}

TEST_F(NatsPool, ADrainKeepsItsLimitWhateverIsToBeStored) {
  gofer::latch begun(1);
  gofer::latch go_on(1);
  auto options = named({.min_workers = 1});
  options.server.request_timeout = 200ms;
  nats_pool<int> pool(
      [&](int) {
        begun.count_down();
        go_on.wait();
        throw std::runtime_error("it cannot be done");
      },
      options);
  nats_pool<int>(named()).submit(1);
  begun.wait();
  server_.kill();
  go_on.count_down();
  EXPECT_FALSE(pool.drain_for(500ms)) << "its dead letter is not stored";
}

TEST_F(NatsPool, ATaskThatIsSubmittedAgainWhileItRunsHasItsResult) {
  gofer::latch begun(1);
  gofer::latch go_on(1);
  nats_pool<int, int> pool(
      [&](int i) {
        begun.count_down();
        go_on.wait();
        return i;
      },
      named());
  pool.submit(1, {.id = "one"});
  begun.wait();
  pool.submit(1, {.id = "one"});
  go_on.count_down();
  pool.drain();
  std::vector<int> values;
  for (auto& r : pool.results()) values.push_back(r.value());
  EXPECT_EQ(values, std::vector{1});
}

TEST_F(NatsPool, WhatWasStoredThoughNoServerSaidSoHasItsResult) {
  nats_pool<int, int> pool([](int i) { return i; }, named({.submit_timeout = 500ms}));
  server_.suspend();
  EXPECT_THAT(refusal<gofer::nats_error>([&] { pool.submit(1, {.id = "one"}); }), HasSubstr("no server has answered"));
  EXPECT_THAT(refusal<gofer::nats_error>([&] { pool.submit(2, {.id = "two"}); }), HasSubstr("no server has answered"));
  server_.resume();
  pool.submit(2, {.id = "two"});
  pool.submit(3, {.id = "three"});
  std::set<std::string> given;
  for (int i = 0; i < 3; ++i) given.insert(pool.results().receive()->id);
  EXPECT_EQ(given, (std::set<std::string>{"one", "two", "three"}));
  EXPECT_EQ(pool.submit(1, {.id = "one"}), "one");
  pool.drain();
  EXPECT_EQ(std::ranges::distance(pool.results()), 0) << "nothing has two results, and none is waited for";
}

TEST_F(NatsPool, WhatIsNoResultIsNone) {
  nats_pool<int, int> pool([](int i) { return i; }, named({.client = "shop"}));
  gofer::nats::client other(server_.options(), "test");
  for (const char* about :
       {R"({"id": 5, "attempts": "many", "waited": [], "ran": null})", "{}", "[", R"({"error": 1})"}) {
    const auto stored = other.wait_for_answer(
        {.subject = "gofer.test.result.shop", .data = "1", .headers = {{{"Gofer-Result", about}}}});
    EXPECT_THAT(stored.value_or(""), HasSubstr("\"seq\""));
  }
  pool.submit(7, {.id = "seven"});
  bool came = false;
  while (!came) came = pool.results().receive()->id == "seven";
  pool.drain();
}

TEST_F(NatsPool, RefusesOptionsThatCannotBe) {
  const auto with = [&](auto&& change) {
    nats_pool_options o = named();
    change(o);
    return refusal<std::invalid_argument>([&] { nats_pool<int> pool(o); });
  };
  EXPECT_THAT(with([](auto& o) { o.name = "a.b"; }), HasSubstr("a.b"));
  EXPECT_THAT(with([](auto& o) { o.name = ""; }), HasSubstr("name"));
  EXPECT_THAT(with([](auto& o) { o.replicas = 2; }), HasSubstr("replicas"));
  EXPECT_THAT(with([](auto& o) { o.queue_capacity = 0; }), HasSubstr("queue_capacity"));
  EXPECT_THAT(with([](auto& o) { o.max_attempts = 0; }), HasSubstr("max_attempts"));
  EXPECT_THAT(with([](auto& o) { o.max_taken = 0; }), HasSubstr("max_taken"));
  EXPECT_THAT(with([](auto& o) { o.lease = 1ms; }), HasSubstr("lease"));
  EXPECT_THAT(with([](auto& o) { o.client = "x y"; }), HasSubstr("x y"));
  EXPECT_THAT(with([](auto& o) { o.when_full = gofer::overflow::discard_oldest; }), HasSubstr("when_full"));
  EXPECT_THAT(with([](auto& o) { o.when_full = gofer::overflow::caller_runs; }), HasSubstr("when_full"));
  EXPECT_THAT(with([](auto& o) { o.server.servers = ""; }), HasSubstr("servers"));
  EXPECT_THAT(with([](auto& o) { o.server.tls = true, o.server.tls_key_file = "k"; }), HasSubstr("tls_key_file"));
}

TEST_F(NatsPool, SharedOptionsAreThoseOfTheFirst) {
  nats_pool<int> first(named({.queue_capacity = 10}));
  EXPECT_THAT(refusal<std::invalid_argument>([&] { nats_pool<int> second(named({.queue_capacity = 20})); }),
              HasSubstr("max_msgs = 10, and not 20"));
  EXPECT_THAT(
      refusal<std::invalid_argument>([&] { nats_pool<int> second(named({.queue_capacity = 10, .lease = 1s})); }),
      HasSubstr("ack_wait"));
  nats_pool<int> second(named({.queue_capacity = 20, .reconfigure = true}));
  for (int i = 0; i < 20; ++i) second.submit(i);
  EXPECT_FALSE(second.try_submit(20));
}

TEST_F(NatsPool, StopHandsBackWhatHasNotBegun) {
  const auto options = named({.min_workers = 1, .max_taken = 100});
  std::atomic<int> begun{0};
  std::atomic<int> runs{0};
  nats_pool<int> submitting(options);
  submitting.submit(std::views::iota(0, 100));
  {
    nats_pool<int> first(
        [&](int, std::stop_token stop) {
          ++begun;
          if (!gofer::sleep_for(10s, stop)) throw std::runtime_error("asked to stop");
        },
        options);
    ASSERT_TRUE(soon([&] { return begun == 1; }));
    first.stop();
    EXPECT_EQ(begun, 1);
    EXPECT_EQ(first.stats().finished, 0U) << "what threw because it was to stop is handed back, too";
    EXPECT_THROW(first.submit(1), gofer::pool_stopped);
  }
  nats_pool<int> second([&](int) { ++runs; }, options);
  submitting.drain();
  EXPECT_EQ(runs, 100);
  EXPECT_EQ(second.stats().dead, 0U);
}

TEST_F(NatsPool, DrainsWithinALimitOrStops) {
  std::atomic<bool> asked{false};
  nats_pool<int> pool(
      [&](int, std::stop_token stop) {
        while (!stop.stop_requested()) gofer::sleep_for(1ms);
        asked = true;
      },
      named({.min_workers = 1}));
  pool.submit(1);
  EXPECT_FALSE(pool.drain_for(300ms));
  EXPECT_TRUE(asked);
  std::stop_source source;
  source.request_stop();
  nats_pool<int> other(named());
  other.submit(1);
  EXPECT_FALSE(other.drain(source.get_token()));
  EXPECT_THROW(other.submit(1), gofer::pool_stopped);
}

TEST_F(NatsPool, DrainsTwiceAndBySeveral) {
  std::atomic<int> runs{0};
  nats_pool<int> pool([&](int) { ++runs; }, named());
  pool.submit(std::views::iota(0, 500));
  gofer::wait_group all;
  for (int i = 0; i < 4; ++i) all.go([&] { pool.drain(); });
  all.wait();
  pool.drain();
  EXPECT_EQ(runs, 500);
  pool.stop();
}

TEST_F(NatsPool, AStopEndsADrain) {
  nats_pool<int> pool(named());  // nobody works
  pool.submit(1);
  gofer::go([&] {
    gofer::sleep_for(100ms);
    pool.stop();
  });
  pool.drain();
  EXPECT_EQ(nats_pool<int>(named()).stats().queued, 1U);
}

TEST_F(NatsPool, ATaskMustNotWaitForItself) {
  gofer::chan<std::string> said(3);
  nats_pool<int>* self = nullptr;
  nats_pool<int> pool(
      [&](int) {
        said.send(refusal<std::logic_error>([&] { self->drain(); }));
        said.send(refusal<std::logic_error>([&] { self->stop(); }));
        said.send(refusal<std::logic_error>([&] { self->wait_idle(); }));
      },
      named());
  self = &pool;
  pool.submit(1);
  EXPECT_THAT(*said.receive(), HasSubstr("drain was called in one of its own tasks"));
  EXPECT_THAT(*said.receive(), HasSubstr("stop was called"));
  EXPECT_THAT(*said.receive(), HasSubstr("wait_idle was called"));
}

TEST_F(NatsPool, ALeaseIsRenewedWhileTheTaskRuns) {
  const auto options = named({.min_workers = 2, .lease = 1s});
  std::atomic<int> runs{0};
  const auto slow = [&](int) {
    ++runs;
    gofer::sleep_for(3s);
  };
  nats_pool<int> one(slow, options);
  nats_pool<int> two(slow, options);
  one.submit(1);
  one.drain();
  EXPECT_EQ(runs, 1);
}

TEST_F(NatsPool, AStopIsRequestedPastTheTimeOfATask) {
  nats_pool<int, std::string> pool(
      [](int, std::stop_token stop) { return gofer::sleep_for(10s, stop) ? "slept" : "was woken"; },
      named({.task_timeout = 100ms}));
  pool.submit(1);
  EXPECT_EQ(pool.results().receive()->value(), "was woken");
  EXPECT_EQ(pool.stats().timed_out, 1U);
}

TEST_F(NatsPool, PausesAndGoesOn) {
  std::atomic<int> runs{0};
  const auto count = [&](int) { ++runs; };
  nats_pool<int> early(count, named());
  nats_queue q = queue();
  q.pause();
  gofer::sleep_for(1s);
  nats_pool<int> late(count, named());
  late.submit(std::views::iota(0, 10));
  gofer::sleep_for(500ms);
  EXPECT_EQ(runs, 0);
  EXPECT_TRUE(q.status().paused);
  EXPECT_TRUE(late.stats().paused);
  q.resume();
  late.drain();
  EXPECT_EQ(runs, 10);
  EXPECT_FALSE(q.status().paused);
}

TEST_F(NatsPool, DeadLettersAreTriedAgainOrDropped) {
  std::atomic<bool> broken{true};
  std::atomic<int> done{0};
  nats_pool<int> pool(
      [&](int, const nats_task& task) {
        if (broken) throw std::runtime_error("broken");
        EXPECT_EQ(task.attempt, 1U);
        EXPECT_TRUE(task.id.starts_with("id-"));
        ++done;
      },
      named());
  pool.submit(std::views::iota(0, 5), [](int i) { return "id-" + std::to_string(i); });
  nats_queue q = queue();
  ASSERT_TRUE(soon([&] { return q.status().dead == 5; }));
  broken = false;
  const auto letters = q.dead();
  ASSERT_EQ(letters.size(), 5U);
  EXPECT_EQ(q.dead(letters[2].sequence, 2).size(), 2U);
  EXPECT_EQ(q.dead_letter(letters[3].sequence)->id, letters[3].id);
  EXPECT_TRUE(q.retry(letters[0].sequence));
  EXPECT_FALSE(q.retry(letters[0].sequence));
  EXPECT_TRUE(q.retry(letters[1].sequence));
  EXPECT_TRUE(q.drop(letters[2].sequence));
  EXPECT_FALSE(q.drop(letters[2].sequence));
  EXPECT_FALSE(q.dead_letter(letters[2].sequence));
  pool.wait_idle();
  EXPECT_TRUE(soon([&] { return done == 2; }));
  EXPECT_EQ(q.status().dead, 2U);
}

TEST_F(NatsPool, ToBeHandedBackCostsATaskNothing) {
  const auto options = named({.min_workers = 1, .max_deliveries = 3});
  nats_pool<int> submitting(options);
  submitting.submit(1);
  for (int i = 0; i < 5; ++i) {
    std::atomic<bool> begun{false};
    nats_pool<int> stopped(
        [&](int, std::stop_token stop) {
          begun = true;
          gofer::sleep_for(10s, stop);
          throw std::runtime_error("stops");
        },
        options);
    ASSERT_TRUE(soon([&] { return begun.load(); }));
  }
  std::atomic<int> runs{0};
  nats_pool<int> last([&](int) { ++runs; }, options);
  submitting.drain();
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(last.stats().dead, 0U);
}

TEST_F(NatsPool, AClientWithANameGetsItsResultsWhenItComesBack) {
  const auto options = named({.client = "shop"});
  {
    nats_pool<int, int> shop(options);
    shop.submit(20, {.id = "twenty"});
  }
  nats_pool<int, int> worker([](int i) { return i + 1; }, named());
  worker.wait_idle();
  nats_pool<int, int> again(options);
  auto result = again.results().receive();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->id, "twenty");
  EXPECT_EQ(result->value(), 21);
}

TEST_F(NatsPool, ResultsThatWaitForTheirReceiverComeOnce) {
  // A client with a name takes whatever comes; what it has fetched must not come again because it is slow.
  nats_pool<int, int> pool([](int i) { return i; }, named({.lease = 300ms, .client = "shop", .result_capacity = 1}));
  pool.submit(std::views::iota(0, 40));
  pool.drain();
  gofer::sleep_for(1500ms);
  std::multiset<int> got;
  for (auto& r : pool.results()) got.insert(r.value());
  EXPECT_EQ(got.size(), 40U);
  EXPECT_EQ(std::set<int>(got.begin(), got.end()).size(), 40U);
}

/// Not run for so long, as on a machine that is overloaded, or asleep.
void stop_this_process_for_a_second() {
  const std::string pid = std::to_string(::getpid());
  ASSERT_EQ(std::system(("kill -STOP " + pid + "; sleep 1; kill -CONT " + pid).c_str()), 0);
}

TEST_F(NatsPool, ResultsComeOnceToAProcessThatWasStoppedForLongerThanALease) {
  nats_pool<int, int> pool([](int i) { return i; }, named({.lease = 300ms, .client = "shop", .result_capacity = 1}));
  pool.submit(std::views::iota(0, 20));
  std::multiset<int> got;
  for (int i = 0; i < 10; ++i) got.insert(pool.results().receive()->value());  // they are done, the others are held
  stop_this_process_for_a_second();
  pool.submit(std::views::iota(20, 40));
  pool.drain();
  for (auto& r : pool.results()) got.insert(r.value());
  EXPECT_EQ(got.size(), 40U);
  EXPECT_EQ(std::set<int>(got.begin(), got.end()).size(), 40U);
}

TEST_F(NatsPool, ATaskIsNotRunBesideItselfByAProcessThatWasStoppedForLongerThanItsLease) {
  std::atomic<int> runs{0};
  gofer::latch begun(2);
  gofer::latch go_on(1);
  nats_pool<int> pool(
      [&](int) {
        ++runs;
        begun.count_down();
        go_on.wait();
      },
      named({.min_workers = 8, .lease = 300ms}));
  pool.submit(1);
  pool.submit(2);
  begun.wait();
  stop_this_process_for_a_second();
  gofer::sleep_for(300ms);  // what comes again has come
  go_on.count_down();
  pool.drain();
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(pool.stats().completed, 2U);
}

TEST_F(NatsPool, ResultsNobodyReceivesDoNotHoldADrain) {
  nats_pool<int, int> pool([](int i) { return i; }, named({.result_capacity = 3}));
  pool.submit(std::views::iota(0, 300));
  pool.drain();
  std::size_t count = 0;
  for (auto& r : pool.results()) count += r.ok() ? 1 : 0;
  EXPECT_EQ(count, 300U);
}

TEST_F(NatsPool, ManySubmitAtOnceFromFibersAndThreads) {
  std::atomic<int> runs{0};
  nats_pool<int> pool([&](int) { ++runs; }, named());
  gofer::wait_group all;
  for (int i = 0; i < 500; ++i) {
    all.go([&] {
      for (int k = 0; k < 4; ++k) pool.submit(k);
    });
  }
  std::thread plain([&] {
    for (int k = 0; k < 20; ++k) pool.submit(k);
  });
  all.wait();
  plain.join();
  pool.drain();
  EXPECT_EQ(runs, 2020);
  EXPECT_EQ(pool.stats().submitted, 2020U);
  EXPECT_EQ(pool.stats().completed, 2020U);
}

TEST_F(NatsPool, WhatACodecThrowsLeavesSubmit) {
  nats_pool<int> pool(named());
  int given = 0;
  const auto tasks = std::views::iota(0, 100) | std::views::transform([&](int i) {
                       if (++given > 50) throw std::runtime_error("the fifty-first");
                       return i;
                     });
  EXPECT_EQ(refusal<std::runtime_error>([&] { pool.submit(tasks); }), "the fifty-first");
  EXPECT_EQ(pool.stats().submitted, 50U);
  EXPECT_EQ(pool.stats().queued, 50U);
}

TEST_F(NatsPool, ATaskThatIsTooLargeIsRefused) {
  nats_pool<std::string> pool(named());
  EXPECT_THAT(refusal<gofer::nats_error>([&] { pool.submit(std::string(2'000'000, 'x')); }),
              HasSubstr("2000000 bytes is too large"));
  EXPECT_EQ(pool.submit("small", {.id = "small"}), "small");
}

TEST_F(NatsPool, AResultThatIsTooLargeIsAFailure) {
  nats_pool<int, std::string> pool([](int) { return std::string(2'000'000, 'x'); }, named({.max_attempts = 3}));
  pool.submit(1);
  auto result = pool.results().receive();
  ASSERT_TRUE(result);
  EXPECT_THAT(result->message(), HasSubstr("2000000 bytes is too large"));
  pool.drain();
  EXPECT_EQ(pool.stats().dead, 1U);
}

TEST_F(NatsPool, GrowsAndIsResized) {
  std::atomic<bool> open{false};
  nats_pool<int> pool(
      [&](int) {
        while (!open) gofer::sleep_for(1ms);
      },
      named({.min_workers = 1, .max_workers = 6}));
  pool.submit(std::views::iota(0, 50));
  EXPECT_TRUE(soon([&] { return pool.stats().busy >= 5; }));
  pool.resize(8, 8);
  EXPECT_TRUE(soon([&] { return pool.stats().busy == 8; }));
  open = true;
  pool.drain();
  EXPECT_EQ(pool.stats().finished, 50U);
  EXPECT_THROW(nats_pool<int>(named()).resize(1, 1), std::logic_error);
}

TEST_F(NatsPool, OutlivesItsServer) {
  std::atomic<int> runs{0};
  nats_pool<int> pool(
      [&](int) {
        gofer::sleep_for(1ms);
        ++runs;
      },
      named({.min_workers = 4, .lease = 1s}));
  pool.submit(std::views::iota(0, 200));
  server_.kill();
  gofer::wait_group submitting;
  submitting.go([&] { pool.submit(std::views::iota(0, 100)); });
  gofer::sleep_for(500ms);
  server_.start();
  submitting.wait();
  pool.drain();
  EXPECT_GE(runs, 300);
  EXPECT_EQ(pool.stats().finished, 300U);
}

/// A server that is killed has not written yet what its consumer knows of the last tasks, but they have left the
/// stream.
TEST_F(NatsPool, WhatWasFinishedIsCountedSoAfterItsServerWasKilled) {
  std::atomic<int> runs{0};
  nats_pool<int> pool([&](int) { ++runs; }, named({.lease = 2s}));
  int seen = 0;
  for (int round = 1; round <= 5; ++round) {
    pool.submit(std::views::iota(0, 50));
    pool.wait_idle();
    server_.kill();
    server_.start();
    const auto status = queue().status();
    if (status.streams[0].messages != 0) continue;  // nor that they have left it
    ++seen;
    EXPECT_EQ(status.finished, round * 50U) << status.queued << " queued, " << status.running << " running";
  }
  EXPECT_GE(seen, 1);
  EXPECT_GE(runs, 250);
}

TEST_F(NatsPool, SaysWhenTheServersDoNotAnswer) {
  auto options = named({.submit_timeout = 500ms});
  options.server.request_timeout = 500ms;
  nats_pool<int> pool(options);
  server_.kill();
  EXPECT_THAT(refusal<gofer::nats_error>([&] { pool.submit(1); }), HasSubstr("no server has answered"));
  EXPECT_THAT(refusal<gofer::nats_error>([&] { pool.stats(); }), HasSubstr("127.0.0.1"));
}

TEST_F(NatsPool, AStreamThatWasRemovedIsAnError) {
  nats_pool<int> pool(named());
  EXPECT_THAT(refusal<gofer::nats_error>([&] { nats_queue("other", server_.options()); }),
              HasSubstr("no pool \"other\""));
}

}  // namespace
