#include "nats/jetstream.hpp"

#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>

#include <gofer/go.hpp>

namespace gofer::inline v0::nats {
namespace {

using nlohmann::json;

/// While a leader is being elected, or a message is on its way to the replicas.
constexpr std::chrono::milliseconds between_tries{100};

std::string decode_base64(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto digit = digits.find(c);
    if (digit == std::string_view::npos) break;
    bits = (bits << 6U) | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>((bits >> static_cast<unsigned>(count)) & 0xffU);
  }
  return bytes;
}

/// "NATS/1.0\r\nKey: value\r\n\r\n"
std::map<std::string, std::string> read_headers(std::string_view text) {
  std::map<std::string, std::string> headers;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find("\r\n", begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 2;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    headers.emplace(line.substr(0, colon), value);
  }
  return headers;
}

std::uint64_t number_after(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  std::uint64_t number = 0;
  if (at != std::string_view::npos) std::from_chars(text.data() + at + key.size(), text.data() + text.size(), number);
  return number;
}

/// A replica that was started a moment ago, or begins anew, answers too, by what it knew before; but it knows no
/// leader.
bool is_of_leader(std::string_view answer) noexcept {
  return answer.find("\"cluster\":{") == std::string_view::npos || answer.find("\"leader\":") != std::string_view::npos;
}

[[noreturn]] void refuse_other(const std::string& what, const std::string& key, const json& has, const json& wanted) {
  throw std::invalid_argument("nats_pool: " + what + " is there with " + key + " = " + has.dump() + ", and not " +
                              wanted.dump() + "; use the same options in all processes, or set `reconfigure`");
}

/// Whether what is there has otherwise what is asked for; throws if it has, and may not be changed.
bool differs(const std::string& what, const json& wanted, const json& there, bool may_change) {
  for (const auto& [key, value] : wanted.items()) {
    const json has = there.value(key, json());
    if (has == value) continue;
    if (may_change) return true;
    refuse_other(what, key, has, value);
  }
  return false;
}

}  // namespace

stored_reply read_stored_reply(std::string_view answer) {
  stored_reply reply;
  if (answer.find("\"error\"") == std::string_view::npos) {  // most are like that, so they are not parsed
    reply.sequence = number_after(answer, "\"seq\":");
    reply.stored = reply.sequence != 0;
    reply.duplicate = answer.find("\"duplicate\":true") != std::string_view::npos ||
                      answer.find("\"duplicate\": true") != std::string_view::npos;
    reply.passing = !reply.stored;  // a duplicate of what is in process, from servers before 2.10.20
    if (reply.passing) reply.error = "no server says yet that it is stored";
    return reply;
  }
  const json parsed = json::parse(answer, nullptr, false);
  const json error = parsed.is_object() ? parsed.value("error", json::object()) : json::object();
  reply.error = error.value("description", std::string(answer));
  constexpr int store_failed = 10077;
  constexpr int no_resources = 10023;
  constexpr int no_storage = 10047;
  constexpr int in_process = 10158;  // a message of this id is on its way to the replicas
  constexpr int too_many = 10167;
  const int code = error.value("err_code", 0);
  reply.full = code == store_failed && reply.error.find("maximum") != std::string::npos;
  const bool unavailable = error.value("code", 0) == 503 && code != no_resources && code != no_storage;
  reply.duplicate = code == in_process;
  reply.passing = !reply.full && (unavailable || code == in_process || code == too_many);
  return reply;
}

json jetstream::ask(const std::string& what, const json& question) {
  const std::string text =
      question.is_null() ? std::string() : question.dump(-1, ' ', false, json::error_handler_t::replace);
  const sched::time_point until = sched::deadline_after(by_.options().request_timeout);
  for (;;) {
    const std::string answer = by_.ask("$JS.API." + what, text, is_of_leader);
    json parsed = json::parse(answer, nullptr, false);
    if (!parsed.is_object())
      throw nats_error("nats: the answer to " + what + " is not an object: " + answer.substr(0, 200));
    const auto error = parsed.find("error");
    if (error == parsed.end()) return parsed;
    const int code = error->value("err_code", 0);
    if (code != jetstream_error::unavailable || sched::now() >= until) {
      throw jetstream_error(
          "nats: " + what + " was refused: " + error->value("description", "for no reason that is given"), code);
    }
    sleep_for(between_tries);
  }
}

/// Several may come at once: who does not create it finds it a moment later.
json jetstream::find_or_create_stream(const std::string& name, const json& config) {
  for (int tries = 0;; ++tries) {
    try {
      return ask("STREAM.INFO." + name, nullptr);
    } catch (const jetstream_error& e) {
      if (e.code() != jetstream_error::stream_not_found) throw;
    }
    try {
      return ask("STREAM.CREATE." + name, config);
    } catch (const jetstream_error& e) {
      constexpr int enough = 50;
      const bool others =
          e.code() == jetstream_error::stream_name_in_use || e.code() == jetstream_error::subjects_overlap;
      if (!others || tries == enough) throw;
    }
    sleep_for(std::chrono::milliseconds(20));
  }
}

void jetstream::ensure_stream(const json& config, bool may_change) {
  const std::string name = config.at("name");
  if (differs("the stream " + name, config, find_or_create_stream(name, config).at("config"), may_change)) {
    ask("STREAM.UPDATE." + name, config);
  }
}

void jetstream::ensure_consumer(const std::string& stream, const json& config, bool may_change) {
  const std::string name = config.at("durable_name");
  bool wanting = false;
  try {
    const json there = ask("CONSUMER.INFO." + stream + '.' + name, nullptr).at("config");
    wanting = differs("the consumer " + name + " of " + stream, config, there, may_change);
  } catch (const jetstream_error& e) {
    if (e.code() != jetstream_error::consumer_not_found) throw;
    wanting = true;
  }
  if (wanting) ask("CONSUMER.DURABLE.CREATE." + stream + '.' + name, {{"stream_name", stream}, {"config", config}});
}

stream_state jetstream::state_of(const std::string& stream) {
  const json state = ask("STREAM.INFO." + stream, nullptr).at("state");
  return {.messages = state.value("messages", std::uint64_t{0}),
          .first = state.value("first_seq", std::uint64_t{0}),
          .last = state.value("last_seq", std::uint64_t{0})};
}

std::optional<kept_message> jetstream::last_of(const std::string& stream, const std::string& subject) {
  return get(stream, {{"last_by_subj", subject}});
}

std::optional<kept_message> jetstream::next_of(const std::string& stream, const std::string& subject,
                                               std::uint64_t from) {
  return get(stream, {{"seq", from}, {"next_by_subj", subject}});
}

std::optional<kept_message> jetstream::get(const std::string& stream, const json& which) {
  json m;
  try {
    m = ask("STREAM.MSG.GET." + stream, which).at("message");
  } catch (const jetstream_error& e) {
    if (e.code() == jetstream_error::message_not_found) return std::nullopt;
    throw;
  }
  return kept_message{.sequence = m.value("seq", std::uint64_t{0}),
                      .data = decode_base64(m.value("data", "")),
                      .headers = read_headers(decode_base64(m.value("hdrs", ""))),
                      .stored = read_time(m.value("time", ""))};
}

void jetstream::remove(const std::string& stream, std::uint64_t sequence) {
  try {
    ask("STREAM.MSG.DELETE." + stream, {{"seq", sequence}});
  } catch (const jetstream_error& e) {
    constexpr int delete_failed = 10057;  // asked twice, or somebody else has
    if (e.code() != delete_failed && e.code() != jetstream_error::message_not_found) throw;
  }
}

void jetstream::purge(const std::string& stream, const std::string& subject) {
  ask("STREAM.PURGE." + stream, {{"filter", subject}});
}

void jetstream::store(const outgoing& what) {
  const sched::time_point until = sched::deadline_after(by_.options().request_timeout);
  for (;;) {
    const std::optional<std::string> answer = by_.wait_for_answer(what);
    const stored_reply reply =
        answer ? read_stored_reply(*answer) : stored_reply{.error = "no server has answered in time"};
    if (reply.stored) return;
    if (!reply.passing || sched::now() >= until)
      throw nats_error("nats: a message to " + std::string(what.subject) + " was not stored: " + reply.error);
    sleep_for(between_tries);
  }
}

std::chrono::system_clock::time_point read_time(const std::string& text) {
  std::tm parts{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return {};
  auto time = std::chrono::system_clock::from_time_t(::timegm(&parts));
  if (*rest == '.') {
    std::int64_t nanoseconds = 0;
    std::int64_t unit = 100'000'000;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10) nanoseconds += (*rest - '0') * unit;
    time += std::chrono::duration_cast<std::chrono::system_clock::duration>(std::chrono::nanoseconds(nanoseconds));
  }
  return time;
}

}  // namespace gofer::inline v0::nats
