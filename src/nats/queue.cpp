#include <algorithm>
#include <nlohmann/json.hpp>

#include <gofer/nats_queue.hpp>

#include "nats/jetstream.hpp"
#include "nats/letters.hpp"
#include "nats/names.hpp"
#include "nats/streams.hpp"

namespace gofer::inline v0 {
namespace {

using nats::kept_message;
using nlohmann::json;

std::string header_of(const kept_message& m, const char* name) {
  const auto found = m.headers.find(name);
  return found == m.headers.end() ? std::string() : found->second;
}

nats_dead_letter read_letter(const kept_message& m) {
  const json about = nats::read_header_value(header_of(m, nats::dead_header));
  return {.sequence = m.sequence,
          .id = nats::field<std::string>(about, "id", "?"),
          .error = nats::field<std::string>(about, "error", "?"),
          .attempts = nats::field(about, "attempts", 0U),
          .deliveries = nats::field(about, "deliveries", 0U),
          .submitted = nats::from_nanoseconds(nats::field(about, "submitted", std::int64_t{0})),
          .died = m.stored,
          .payload = m.data};
}

}  // namespace

struct nats_queue::inside {
  inside(const std::string& pool, const nats_options& server)
      : called(pool), by(server, "gofer-queue " + pool), js(by) {}

  nats_stream_status look_at(const std::string& stream) {
    const json info = js.ask("STREAM.INFO." + stream, nullptr);
    const json& state = info.at("state");
    nats_stream_status s{.name = stream,
                         .messages = state.value("messages", std::uint64_t{0}),
                         .bytes = state.value("bytes", std::uint64_t{0}),
                         .replicas = info.at("config").value("num_replicas", std::size_t{1})};
    const json cluster = info.value("cluster", json::object());
    s.leader = cluster.value("leader", "");
    for (const json& replica : cluster.value("replicas", json::array())) {
      if (replica.value("current", false) && !replica.value("offline", false)) ++s.current;
    }
    return s;
  }

  std::optional<kept_message> letter(std::uint64_t sequence) {
    std::optional<kept_message> m = js.next_of(called.dead, called.dead_subject, sequence);
    if (m && m->sequence != sequence) m.reset();
    return m;
  }

  void flag_paused(const char* paused) { js.store({.subject = called.paused_subject.c_str(), .data = paused}); }

  const nats::names called;
  nats::client by;
  nats::jetstream js;
};

nats_queue::nats_queue(const std::string& pool, const nats_options& server)
    : in_(std::make_unique<inside>(pool, server)) {
  try {
    in_->js.state_of(in_->called.tasks);
  } catch (const nats::jetstream_error& e) {
    if (e.code() != nats::jetstream_error::stream_not_found) throw;
    throw nats_error("nats_queue: there is no pool \"" + pool + "\" at " + server.servers +
                     ": no process has submitted to it or worked for it");
  }
}

nats_queue::~nats_queue() = default;
nats_queue::nats_queue(nats_queue&&) noexcept = default;
nats_queue& nats_queue::operator=(nats_queue&&) noexcept = default;

nats_queue_status nats_queue::status() {
  inside& in = *in_;
  nats_queue_status s{.pool = in.called.pool};
  const nats::task_counts tasks = nats::count_tasks(in.js, in.called);
  s.stored = tasks.stored;
  s.queued = tasks.queued;
  s.running = tasks.running;
  s.finished = tasks.finished;
  s.retried = tasks.retried;
  s.asking = tasks.asking;
  s.paused = nats::is_paused(in.js, in.called);
  for (const std::string& stream : {in.called.tasks, in.called.results, in.called.dead, in.called.state}) {
    s.streams.push_back(in.look_at(stream));
  }
  s.results = s.streams[1].messages;
  s.dead = s.streams[2].messages;
  return s;
}

std::vector<nats_dead_letter> nats_queue::dead(std::uint64_t from, std::size_t at_most) {
  inside& in = *in_;
  std::vector<nats_dead_letter> letters;
  for (std::uint64_t next = std::max<std::uint64_t>(from, 1); letters.size() < at_most;) {
    const auto m = in.js.next_of(in.called.dead, in.called.dead_subject, next);
    if (!m) break;
    letters.push_back(read_letter(*m));
    next = m->sequence + 1;
  }
  return letters;
}

std::optional<nats_dead_letter> nats_queue::dead_letter(std::uint64_t sequence) {
  const auto m = in_->letter(sequence);
  if (!m) return std::nullopt;
  return read_letter(*m);
}

bool nats_queue::retry(std::uint64_t sequence) {
  inside& in = *in_;
  const auto m = in.letter(sequence);
  if (!m) return false;
  const nats_dead_letter letter = read_letter(*m);
  const json about = nats::read_header_value(header_of(*m, nats::dead_header));
  const std::string once = letter.id + "#again" + std::to_string(sequence);
  const auto client = nats::field<std::string>(about, "client", "");
  nats::outgoing task{.subject = in.called.task_subject.c_str(),
                      .data = m->data,
                      .headers = {{{nats::server_id_header, once.c_str()}, {nats::id_header, letter.id.c_str()}}}};
  if (!client.empty()) task.headers[2] = {nats::client_header, client.c_str()};
  in.js.store(task);
  in.js.remove(in.called.dead, sequence);
  return true;
}

bool nats_queue::drop(std::uint64_t sequence) {
  if (!in_->letter(sequence)) return false;
  in_->js.remove(in_->called.dead, sequence);
  return true;
}

void nats_queue::pause() { in_->flag_paused("1"); }
void nats_queue::resume() { in_->flag_paused("0"); }

}  // namespace gofer::inline v0
