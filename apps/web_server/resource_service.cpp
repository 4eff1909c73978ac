#include "resource_service.hpp"

#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace web {
namespace {

using namespace std::chrono_literals;
using json = nlohmann::ordered_json;
using std::chrono::steady_clock;

struct outcome {
  std::size_t worker;
  bool failed;
};

/// Takes its time without occupying a thread; every tenth id fails.
outcome work(std::uint64_t id) {
  gofer::sleep_for(10ms + id % 50 * 1ms);
  return {.worker = gofer::this_worker::number(), .failed = id % 10 == 0};
}

std::optional<std::uint64_t> parse_id(const std::string& text) {
  std::uint64_t id = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, id);
  return error == std::errc() && stop == end ? std::optional(id) : std::nullopt;
}

double milliseconds(std::chrono::nanoseconds d) { return static_cast<double>(d.count()) / 1e6; }

void answer(gofer::http::response& r, int status, const json& body) {
  r.status(status).header("Content-Type", "application/json").write(body.dump()).write("\n");
}

}  // namespace

resource_service::resource_service(std::size_t workers, std::size_t queue_capacity)
    : pool_({.name = "resource",
             .min_workers = workers,
             .queue_capacity = queue_capacity,
             .when_full = gofer::overflow::reject}) {}

void resource_service::add_to(gofer::http::server& server) {
  server.handle("GET /api/resource/{id}", [this](auto& q, auto& r) { answer_resource(q, r); });
  server.handle("GET /stats", [this](auto&, auto& r) { answer_stats(r); });
  server.handle("GET /healthz", [](auto&, auto& r) { r.write("ok\n"); });
}

void resource_service::answer_resource(gofer::http::request& q, gofer::http::response& r) {
  const auto arrived = steady_clock::now();
  const auto id = parse_id(q.path_value("id"));
  if (!id) {
    answer(r, 400, {{"status", 400}, {"error", "the id has to be a number, not \"" + q.path_value("id") + "\""}});
    return;
  }
  gofer::future<outcome> pending;
  try {
    pending = pool_.submit([id = *id] { return work(id); });
  } catch (const gofer::queue_full&) {
    counted_.local([](statistics& s) { ++s.rejected; });
    r.header("Retry-After", "1");
    answer(r, 503, {{"id", *id}, {"status", 503}, {"error", "all workers are busy and the queue is full"}});
    return;
  }
  counted_.local([](statistics& s) { ++s.requests; });
  if (!pending.wait(q.token())) {  // the client is gone, or must not be waited for any longer
    answer(r, 503, {{"id", *id}, {"status", 503}, {"error", "the server or its client is going away"}});
    return;
  }
  const outcome done = pending.get();
  const auto latency = steady_clock::now() - arrived;
  counted_.local([&](statistics& s) {
    ++s.answered;
    s.errors += done.failed ? 1 : 0;
    s.latency += latency;
  });
  const int status = done.failed ? 500 : 200;
  json body{{"id", *id}, {"status", status}, {"worker", done.worker}, {"latency_ms", milliseconds(latency)}};
  if (done.failed) body["error"] = "internal server error";
  answer(r, status, body);
}

void resource_service::answer_stats(gofer::http::response& r) const {
  const statistics s = stats();
  answer(r, 200,
         {{"requests", s.requests},
          {"active", s.active()},
          {"errors", s.errors},
          {"rejected", s.rejected},
          {"total_latency_ms", milliseconds(s.latency)},
          {"average_latency_ms", milliseconds(s.average_latency())}});
}

statistics resource_service::stats() const {
  return counted_.fold(statistics{}, [](const statistics& a, const statistics& b) { return a + b; });
}

}  // namespace web
