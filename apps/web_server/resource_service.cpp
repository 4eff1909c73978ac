#include "resource_service.hpp"

#include <chrono>
#include <optional>
#include <string>

#include "json.hpp"

namespace web {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

struct outcome {
  std::size_t worker = 0;
  bool failed = false;
};

/// Takes its time without occupying a thread; every tenth id fails.
outcome work(std::uint64_t id) {
  gofer::sleep_for(10ms + id % 50 * 1ms);
  return {.worker = gofer::this_worker::number(), .failed = id % 10 == 0};
}

}  // namespace

resource_service::resource_service(std::size_t workers, std::size_t max_workers, std::size_t queue_capacity)
    : pool_({.name = "resource",
             .min_workers = workers,
             .max_workers = max_workers,
             .queue_capacity = queue_capacity,
             .when_full = gofer::overflow::reject}) {}

void resource_service::add_to(gofer::http::server& server) {
  server.handle("GET /api/resource/{id}", [this](auto& q, auto& r) { answer_resource(q, r); });
  server.handle("GET /stats", [this](auto&, auto& r) { answer_stats(r); });
  server.handle("GET /healthz", [](auto&, auto& r) { r.write("ok\n"); });
}

void resource_service::answer_resource(gofer::http::request& q, gofer::http::response& r) {
  const auto arrived = steady_clock::now();
  const auto id = parse_number(q.path_value("id"));
  if (!id) {
    answer_json(r, 400, {{"status", 400}, {"error", "the id has to be a number, not \"" + q.path_value("id") + "\""}});
    return;
  }
  gofer::future<outcome> pending;
  try {
    pending = pool_.submit([id = *id, token = q.token()] {
      return token.stop_requested() ? outcome{} : work(id);  // nobody waits for it any more
    });
  } catch (const gofer::queue_full&) {
    counted_.local([](statistics& s) { ++s.rejected; });
    r.header("Retry-After", "1");
    answer_json(r, 503, {{"id", *id}, {"status", 503}, {"error", "all workers are busy and the queue is full"}});
    return;
  }
  counted_.local([](statistics& s) { ++s.requests; });
  if (!pending.wait(q.token())) {  // the client is gone, or must not be waited for any longer
    counted_.local([](statistics& s) { ++s.abandoned; });
    answer_json(r, 503, {{"id", *id}, {"status", 503}, {"error", "the server or its client is going away"}});
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
  answer_json(r, status, body);
}

void resource_service::answer_stats(gofer::http::response& r) const { answer_json(r, 200, to_json(stats())); }

statistics resource_service::stats() const {
  return counted_.fold(statistics{}, [](const statistics& a, const statistics& b) { return a + b; });
}

}  // namespace web
