#include "dashboard.hpp"

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <gofer/debug.hpp>

#include "assets.hpp"
#include "json.hpp"
#include "load.hpp"

namespace web {
namespace {

using gofer::http::request;
using gofer::http::response;

constexpr std::size_t most_fibers = 1000;  // in one answer

/// What a page of ours may do: talk to this server, with its own scripts and styles.
void answer_asset(const asset& a, response& r) {
  r.header("Content-Type", a.type)
      .header("Content-Security-Policy",
              "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
              "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
      .header("X-Content-Type-Options", "nosniff")
      .header("Referrer-Policy", "no-referrer")
      .header("Cache-Control", "no-cache")
      .write(a.content);
}

const char* in_words(gofer::debug::fiber_state s) {
  switch (s) {
    case gofer::debug::fiber_state::running:
      return "running";
    case gofer::debug::fiber_state::ready:
      return "ready";
    default:
      return "waiting";
  }
}

bool has(const gofer::debug::fiber_info& f, const std::string& text) {
  if (text.empty()) return true;
  const std::string id = std::to_string(f.id);
  const std::string_view in[] = {id, f.name, in_words(f.state), f.operation, f.started_at};
  return std::ranges::any_of(in, [&](std::string_view s) { return s.find(text) != std::string_view::npos; });
}

/// A file in memory.
class memory_file {
 public:
  memory_file() : descriptor_(memfd_create("gofer-web", MFD_CLOEXEC)) {
    if (descriptor_ < 0) throw std::system_error(errno, std::system_category(), "cannot make a file in memory");
  }
  memory_file(const memory_file&) = delete;
  memory_file& operator=(const memory_file&) = delete;
  ~memory_file() { close(descriptor_); }

  int descriptor() const { return descriptor_; }
  std::string content() const {
    std::string all(static_cast<std::size_t>(lseek(descriptor_, 0, SEEK_END)), '\0');
    const ssize_t got = pread(descriptor_, all.data(), all.size(), 0);
    all.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return all;
  }

 private:
  const int descriptor_;
};

}  // namespace

dashboard::dashboard(gofer::http::server& server, const resource_service& service, const measurements& measured,
                     const watched_pool& distributed, bool may_play)
    : server_(server), load_(may_play), recorder_(server, service, measured, distributed, load_) {}

void dashboard::add_to_server(const access& a) {
  for (const asset& each : assets()) {
    server_.handle("GET /debug/" + std::string(each.name.empty() ? "{$}" : each.name),
                   a.only([&each](auto&, auto& r) { answer_asset(each, r); }));
  }
  server_.handle("GET /debug/events", a.only([this](auto& q, auto& r) { answer_events(q, r); }));
  server_.handle("GET /debug/fibers", a.only([](auto&, auto& r) {
    const memory_file dump;
    gofer::blocking([&] { gofer::debug::dump(dump.descriptor()); });
    r.write(dump.content());
  }));
  server_.handle("GET /debug/fibers.json", a.only([](auto& q, auto& r) { answer_fibers(q, r); }));
  server_.handle("POST /debug/load", a.only([this](auto& q, auto& r) { play(q, r); }));
  server_.handle("DELETE /debug/load", a.only([this](auto&, auto& r) {
    load_.stop();
    r.status(204);
  }));
}

void dashboard::answer_events(request& q, response& r) {
  const auto [history, events] = recorder_.subscribe();
  gofer::http::event_stream stream(r);
  stream.send(history, "history");
  for (std::optional<std::string> event; events->receive(event, q.token()) == gofer::chan_status::ok;) {
    stream.send(*event, "sample");
  }
}

void dashboard::answer_fibers(const request& q, response& r) {
  const std::string& search = q.query("search");
  const std::size_t most = std::min<std::uint64_t>(parse_number(q.query("most")).value_or(most_fibers), most_fibers);
  std::size_t found = 0;
  json list = json::array();
  const auto look = [&](const gofer::debug::fiber_info& f) {
    if (!has(f, search) || ++found > most) return;
    list.push_back({{"id", f.id},
                    {"name", f.name},
                    {"state", in_words(f.state)},
                    {"operation", f.operation},
                    {"since_ms", f.since.count()},
                    {"started_at", f.started_at}});
  };
  gofer::blocking([&] { gofer::debug::for_each_fiber(look); });
  answer_json(r, 200, {{"found", found}, {"fibers", list}});
}

void dashboard::play(const request& q, response& r) {
  const std::string& wanted = q.query("requests");
  const auto requests = parse_number(wanted);
  if (!load_.now().possible) {
    r.status(409).write("the load can only be played over plain HTTP\n");
  } else if (!requests || *requests == 0 || *requests > most_at_once) {
    r.status(400).write(fmt::format("requests has to be from 1 to {}, not \"{}\"\n", most_at_once, wanted));
  } else if (!load_.play(server_.address(), *requests)) {
    r.status(409).write("a load is being played\n");
  } else {
    r.status(202).write("playing\n");
  }
}

}  // namespace web
