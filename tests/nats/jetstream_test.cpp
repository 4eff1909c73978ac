// What JetStream answers, and which of it is believed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
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

/// Answers questions about the stream "test" in place of a cluster's servers: each answer once, but the last for ever.
class replica {
 public:
  replica(const nats_options& server, std::vector<std::string> answers)
      : by_(server, "replica"), answers_(std::move(answers)) {
    listening_ = by_.subscribe(what_is_asked, [this](std::vector<gofer::nats::message>& questions) {
      for (const auto& q : questions) answer(q.reply());
    });
    by_.ask(what_is_asked, "");  // that is answered: the server knows us
    asked_ = 0;
  }

  std::size_t asked() const { return asked_; }

 private:
  void answer(const char* to) { by_.send(to, answers_[std::min(asked_.fetch_add(1), answers_.size() - 1)]); }

  gofer::nats::client by_;
  const std::vector<std::string> answers_;
  std::atomic<std::size_t> asked_{0};
  std::unique_ptr<gofer::nats::subscription> listening_;
};

std::string state(const std::string& last, const std::string& cluster) {
  return R"({"state": {"messages": 0, "first_seq": 1, "last_seq": )" + last + "}" + cluster + "}";
}

const std::string leaderless = R"(, "cluster": {"name": "crew", "replicas": [{"name": "b", "current": true}]})";
const std::string led = R"(, "cluster": {"name": "crew", "leader": "b"})";

TEST(JetStream, OfAReplicaThatKnowsNoLeaderNothingIsBelieved) {
  const nats_server server("jetstream: disabled");
  const replica other(server.options(), {state("5", leaderless), state("5", leaderless), state("7", led)});
  gofer::nats::client by(server.options(), "test");
  EXPECT_EQ(gofer::nats::jetstream(by).state_of("test").last, 7);
  EXPECT_EQ(other.asked(), 3);
}

TEST(JetStream, WithoutALeaderInTimeThatIsSaid) {
  const nats_server server("jetstream: disabled");
  const replica other(server.options(), {state("5", leaderless)});
  nats_options options = server.options();
  options.request_timeout = std::chrono::milliseconds(300);
  gofer::nats::client by(options, "test");
  try {
    gofer::nats::jetstream(by).state_of("test");
    FAIL() << "a replica without a leader was believed";
  } catch (const gofer::nats::jetstream_error& e) {
    EXPECT_THAT(e.what(), HasSubstr("STREAM.INFO.test was refused: the replicas have no leader"));
    EXPECT_EQ(e.code(), gofer::nats::jetstream_error::unavailable);
  }
}

TEST(JetStream, OneServerAloneNeedsNoLeader) {
  const nats_server server("jetstream: disabled");
  const replica other(server.options(), {state("5", "")});
  gofer::nats::client by(server.options(), "test");
  EXPECT_EQ(gofer::nats::jetstream(by).state_of("test").last, 5);
}

}  // namespace
