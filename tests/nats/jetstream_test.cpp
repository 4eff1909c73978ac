// What JetStream answers, and which of it is believed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nats/jetstream.hpp"
#include "nats/submitter.hpp"
#include "support/nats_server.hpp"

namespace {

using gofer::nats_options;
using testing::HasSubstr;

constexpr auto what_is_asked = "$JS.API.STREAM.INFO.test";

/// Gives all of its answers to each question about the stream "test", in place of a cluster's servers.
class replicas {
 public:
  replicas(const nats_options& server, std::vector<std::string> answers)
      : by_(server, "replicas"), answers_(std::move(answers)) {
    listening_ = by_.subscribe(what_is_asked, [this](std::vector<gofer::nats::message>& questions) {
      for (const auto& q : questions) {
        for (const std::string& a : answers_) by_.send(q.reply(), a);
      }
    });
    by_.ask(what_is_asked, "");  // that is answered: the server knows us
  }

 private:
  gofer::nats::client by_;
  const std::vector<std::string> answers_;
  std::unique_ptr<gofer::nats::subscription> listening_;
};

std::string state(const std::string& last, const std::string& cluster) {
  return R"({"state":{"messages":0,"first_seq":1,"last_seq":)" + last + "}" + cluster + "}";
}

const std::string leaderless = R"(,"cluster":{"name":"crew","replicas":[{"name":"b","current":true}]})";
const std::string led = R"(,"cluster":{"name":"crew","leader":"b"})";

TEST(JetStream, AReplicaThatKnowsNoLeaderIsNotBelieved) {
  const nats_server server("jetstream: disabled");
  const replicas others(server.options(), {state("5", leaderless), state("6", leaderless), state("7", led)});
  gofer::nats::client by(server.options(), "test");
  EXPECT_EQ(gofer::nats::jetstream(by).state_of("test").last, 7U);
}

TEST(JetStream, WithoutALeaderThereIsNoAnswer) {
  const nats_server server("jetstream: disabled");
  const replicas others(server.options(), {state("5", leaderless)});
  nats_options options = server.options();
  options.request_timeout = std::chrono::milliseconds(300);
  gofer::nats::client by(options, "test");
  try {
    gofer::nats::jetstream(by).state_of("test");
    FAIL() << "a replica without a leader was believed";
  } catch (const gofer::nats_error& e) {
    EXPECT_THAT(e.what(), HasSubstr("no answer to $JS.API.STREAM.INFO.test"));
  }
}

TEST(JetStream, AServerAloneNeedsNoLeader) {
  const nats_server server("jetstream: disabled");
  const replicas others(server.options(), {state("5", "")});
  gofer::nats::client by(server.options(), "test");
  EXPECT_EQ(gofer::nats::jetstream(by).state_of("test").last, 5U);
}

constexpr auto what_is_stored = "test.kept";

/// Gives one answer after the other to messages that are to be stored, in place of a stream; the last one again and
/// again.
class answers_in_turn {
 public:
  answers_in_turn(const nats_options& server, const std::string& subject, std::vector<std::string> answers)
      : by_(server, "stream"), answers_(std::move(answers)) {
    listening_ = by_.subscribe(subject, [this](std::vector<gofer::nats::message>& questions) {
      for (const auto& q : questions) by_.send(q.reply(), answers_[std::min(asked_++, answers_.size() - 1)]);
    });
    by_.ask(subject, "");  // that is answered: the server knows us
    asked_ = 0;
  }

  std::size_t asked() const { return asked_; }

 private:
  gofer::nats::client by_;
  const std::vector<std::string> answers_;
  std::atomic<std::size_t> asked_{0};
  std::unique_ptr<gofer::nats::subscription> listening_;
};

std::string refusal(int code, int error_code, const std::string& why) {
  return R"({"error":{"code":)" + std::to_string(code) + R"(,"err_code":)" + std::to_string(error_code) +
         R"(,"description":")" + why + R"("},"stream":"test","seq":0})";
}

// What servers from 2.10.20 on say, and what those before say instead.
const std::string in_process = refusal(409, 10158, "duplicate message id is in process");
const std::string in_process_of_old = R"({"stream":"test","seq":0,"duplicate":true})";
const std::string too_many = refusal(429, 10167, "too many requests");
const std::string not_leader = refusal(503, 0, "raft: not leader");

/// What the error says; nothing if it was stored.
std::string error_of_storing(const nats_options& options) {
  gofer::nats::client by(options, "test");
  try {
    gofer::nats::jetstream(by).store({.subject = what_is_stored, .data = "a task"});
    return "";
  } catch (const gofer::nats_error& e) {
    return e.what();
  }
}

TEST(JetStream, WhatIsNotStoredYetIsStoredByAnotherTry) {
  const nats_server server("jetstream: disabled");
  const answers_in_turn stream(server.options(), what_is_stored,
                               {in_process_of_old, in_process, too_many, not_leader, R"({"stream":"test","seq":7})"});
  EXPECT_EQ(error_of_storing(server.options()), "");
  EXPECT_EQ(stream.asked(), 5U);
}

TEST(JetStream, WhatIsRefusedIsNotTriedAgain) {
  const nats_server server("jetstream: disabled");
  const answers_in_turn stream(server.options(), what_is_stored, {refusal(503, 10023, "insufficient resources")});
  EXPECT_THAT(error_of_storing(server.options()),
              HasSubstr("a message to test.kept was not stored: insufficient resources"));
  EXPECT_EQ(stream.asked(), 1U);
}

TEST(JetStream, WhatNeverComesToBeStoredIsAnError) {
  const nats_server server("jetstream: disabled");
  const answers_in_turn stream(server.options(), what_is_stored, {in_process_of_old});
  nats_options options = server.options();
  options.request_timeout = std::chrono::milliseconds(300);
  EXPECT_THAT(error_of_storing(options), HasSubstr("no server says yet that it is stored"));
  EXPECT_GT(stream.asked(), 1U);
}

/// Who submits a task that somebody else is submitting at the same moment does not wait for its result.
TEST(Submitter, SeesThatATaskInProcessIsSomebodyElses) {
  const nats_server server("jetstream: disabled");
  const gofer::nats::names called("test");
  for (const std::string& first_answer : {in_process, in_process_of_old}) {
    const answers_in_turn stream(server.options(), called.task_subject,
                                 {first_answer, R"({"stream":"test","seq":7,"duplicate":true})"});
    gofer::nats::client by(server.options(), "test");
    const gofer::nats_pool_options options{.name = "test"};
    std::vector<std::string> duplicates;
    gofer::nats::submitter submitting(by, called, options, "us",
                                      {.before = {},
                                       .duplicate = [&](const std::string& id) { duplicates.push_back(id); },
                                       .not_stored = {},
                                       .perhaps_stored = {},
                                       .run_here = {}});
    bool given = false;
    const auto report = submitting.submit(
        [&](gofer::nats::raw_task& task) {
          task.id = std::string("a");
          return !std::exchange(given, true);
        },
        gofer::nats::submitter::no_room::wait, gofer::sched::for_ever);
    EXPECT_EQ(report.accepted, 1U);
    EXPECT_EQ(submitting.duplicates, 1U);
    EXPECT_EQ(duplicates, std::vector<std::string>{"a"});
    EXPECT_EQ(stream.asked(), 2U);
  }
}

}  // namespace
