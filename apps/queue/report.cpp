#include "report.hpp"

#include <fmt/chrono.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <iterator>

namespace queue {
namespace {

std::string utc(std::chrono::system_clock::time_point at) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::gmtime(std::chrono::system_clock::to_time_t(at)));
}

std::string bytes(std::uint64_t n) {
  if (n < 10'000) return fmt::format("{} B", n);
  const char* const units[] = {"kB", "MB", "GB", "TB"};
  double value = static_cast<double>(n) / 1000;
  std::size_t unit = 0;
  for (; value >= 1000 && unit + 1 < std::size(units); ++unit) value /= 1000;
  return fmt::format("{:.1f} {}", value, units[unit]);
}

/// Of what others have written, only what cannot change the terminal, and on one line.
std::string printable(std::string text, std::size_t at_most) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (byte(i) < 0x20 || byte(i) == 0x7f) text[i] = ' ';
    const bool more_controls = byte(i) == 0xc2 && i + 1 < text.size() && byte(i + 1) < 0xa0;  // U+0080 to U+009F
    if (more_controls) text[i] = text[i + 1] = ' ';
  }
  if (text.size() <= at_most) return text;
  std::size_t end = at_most - 3;
  while (end > 0 && (byte(end) & 0xc0U) == 0x80) --end;  // not within a character
  return text.substr(0, end) + "...";
}

std::string health(const gofer::nats_stream_status& s) {
  if (s.replicas == 1 && s.leader.empty()) return "on one server";
  if (s.leader.empty()) return fmt::format("no leader, {} of {} replicas", s.current - 1, s.replicas);
  return fmt::format("{} of {} replicas, led by {}", s.current, s.replicas, s.leader);
}

}  // namespace

rates rates_between(const gofer::nats_queue_status& before, const gofer::nats_queue_status& after, double seconds) {
  if (seconds <= 0) return {};
  const auto rate = [&](std::uint64_t a, std::uint64_t b) {
    return (static_cast<double>(b) - static_cast<double>(a)) / seconds;
  };
  return {.stored = rate(before.stored, after.stored),
          .finished = rate(before.finished, after.finished),
          .dead = rate(before.dead, after.dead)};
}

std::string table(const gofer::nats_queue_status& s, const rates& r) {
  std::string out;
  const auto line = [&](const char* what, std::uint64_t n, const std::string& more) {
    fmt::format_to(std::back_inserter(out), "  {:<10}{:>12}  {}\n", what, n, more);
  };
  fmt::format_to(std::back_inserter(out), "Pool {}{}\n", s.pool,
                 s.paused ? "  PAUSED: workers take no tasks until `resume`" : "");
  line("stored", s.stored, fmt::format("{:+.0f}/s", r.stored));
  line("finished", s.finished, fmt::format("{:+.0f}/s", r.finished));
  line("queued", s.queued, {});
  line("running", s.running, s.retried == 0 ? std::string() : fmt::format("{} of them given out again", s.retried));
  line("dead", s.dead, s.dead == 0 ? std::string() : "see `dead list`");
  line("results", s.results, "not fetched yet");
  line("asking", s.asking, "workers' questions for more");
  out += "\n  stream                                messages      stored as\n";
  for (const gofer::nats_stream_status& stream : s.streams) {
    fmt::format_to(std::back_inserter(out), "  {:<34}{:>12}  {:>9}, {}\n", stream.name, stream.messages,
                   bytes(stream.bytes), health(stream));
  }
  return out;
}

std::string table(const std::vector<gofer::nats_dead_letter>& letters) {
  if (letters.empty()) return "No dead letters.\n";
  std::string out =
      fmt::format("{:>8}  {:<19}  {:>8}  {:<28}  {}\n", "number", "died (UTC)", "attempts", "task", "error");
  for (const gofer::nats_dead_letter& l : letters) {
    fmt::format_to(std::back_inserter(out), "{:>8}  {:<19}  {:>8}  {:<28}  {}\n", l.sequence, utc(l.died), l.attempts,
                   printable(l.id, 28), printable(l.error, 60));
  }
  return out;
}

std::string text(const gofer::nats_dead_letter& l) {
  return fmt::format(
      "number      {}\ntask        {}\nerror       {}\nattempts    {} (given to workers {} times)\nsubmitted   {} UTC\n"
      "died        {} UTC\npayload     {} bytes\n{}\n",
      l.sequence, printable(l.id, 128), printable(l.error, 4096), l.attempts, l.deliveries, utc(l.submitted),
      utc(l.died), l.payload.size(), printable(l.payload, 4096));
}

json to_json(const gofer::nats_queue_status& s, const rates& r) {
  json streams = json::array();
  for (const gofer::nats_stream_status& stream : s.streams) {
    streams.push_back({{"name", stream.name},
                       {"messages", stream.messages},
                       {"bytes", stream.bytes},
                       {"replicas", stream.replicas},
                       {"current", stream.current},
                       {"leader", stream.leader}});
  }
  return {{"pool", s.pool},
          {"paused", s.paused},
          {"stored", s.stored},
          {"queued", s.queued},
          {"running", s.running},
          {"finished", s.finished},
          {"dead", s.dead},
          {"results", s.results},
          {"retried", s.retried},
          {"asking", s.asking},
          {"stored_per_second", r.stored},
          {"finished_per_second", r.finished},
          {"dead_per_second", r.dead},
          {"streams", std::move(streams)}};
}

json to_json(const gofer::nats_dead_letter& l) {
  return {{"number", l.sequence},       {"task", l.id},
          {"error", l.error},           {"attempts", l.attempts},
          {"deliveries", l.deliveries}, {"submitted", utc(l.submitted)},
          {"died", utc(l.died)},        {"payload", l.payload}};
}

}  // namespace queue
