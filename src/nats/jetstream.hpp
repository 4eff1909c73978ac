#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "nats/client.hpp"

/// What we ask of JetStream beside storing and fetching: its interface of JSON questions.
namespace gofer::inline v0::nats {

/// What a server says about a message that it was to store.
struct stored_reply {
  bool stored = false;
  bool duplicate = false;  // of one that is stored, or else of one that is on its way to the replicas
  bool full = false;       // the stream's limit is reached
  bool passing = false;    // not now: a leader is being elected, or the like
  std::uint64_t sequence = 0;
  std::string error;
};
stored_reply read_stored_reply(std::string_view answer);

/// A refusal by JetStream.
class jetstream_error : public nats_error {
 public:
  jetstream_error(const std::string& text, int code) : nats_error(text), code_(code) {}
  int code() const noexcept { return code_; }

  static constexpr int stream_not_found = 10059;
  static constexpr int consumer_not_found = 10014;
  static constexpr int message_not_found = 10037;
  static constexpr int unavailable = 10008;
  static constexpr int stream_name_in_use = 10058;
  static constexpr int subjects_overlap = 10065;

 private:
  int code_;
};

/// A message that a stream keeps.
struct kept_message {
  std::uint64_t sequence = 0;
  std::string data;
  std::map<std::string, std::string> headers;
  std::chrono::system_clock::time_point stored;
};

struct stream_state {
  std::uint64_t messages = 0, first = 0, last = 0;
};

class jetstream {
 public:
  explicit jetstream(client& by) noexcept : by_(by) {}

  /// Throws jetstream_error for a refusal, nats_error without an answer.
  nlohmann::json ask(const std::string& what, const nlohmann::json& question);

  /// Makes the stream, or the consumer, if it is not there. If it is there and differs in what is asked for, changes
  /// it, if it may, or else throws std::invalid_argument.
  void ensure_stream(const nlohmann::json& config, bool may_change);
  void ensure_consumer(const std::string& stream, const nlohmann::json& config, bool may_change);

  stream_state state_of(const std::string& stream);
  /// Nothing if there is none.
  std::optional<kept_message> last_of(const std::string& stream, const std::string& subject);
  std::optional<kept_message> next_of(const std::string& stream, const std::string& subject, std::uint64_t from);
  void remove(const std::string& stream, std::uint64_t sequence);
  void purge(const std::string& stream, const std::string& subject);
  /// Blocks until it is stored.
  void store(const outgoing& what);

 private:
  nlohmann::json find_or_create_stream(const std::string& name, const nlohmann::json& config);
  std::optional<kept_message> get(const std::string& stream, const nlohmann::json& which);

  client& by_;
};

/// A time as JetStream writes it.
std::chrono::system_clock::time_point read_time(const std::string& text);

}  // namespace gofer::inline v0::nats
