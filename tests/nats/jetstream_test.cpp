// What JetStream answers, and which of it is believed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nats/jetstream.hpp"
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

}  // namespace
