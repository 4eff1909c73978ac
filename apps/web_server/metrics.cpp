#include "metrics.hpp"

#include <prometheus/text_serializer.h>

#include <chrono>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace web {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using std::chrono::nanoseconds;

constexpr nanoseconds smallest_bucket{1 << 18};   // 0.26 ms
constexpr nanoseconds largest_bucket{1LL << 32};  // 4.3 s

ClientMetric number(double value, bool counter, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric m;
  m.label = std::move(labels);
  (counter ? m.counter.value : m.gauge.value) = value;
  return m;
}

/// Makes the families of an answer one after the other.
class families {
 public:
  template <class Number>
  void counter(const char* name, const char* help, Number value) {
    all_.push_back({name, help, MetricType::Counter, {number(static_cast<double>(value), true)}});
  }
  template <class Number>
  void gauge(const char* name, const char* help, Number value) {
    all_.push_back({name, help, MetricType::Gauge, {number(static_cast<double>(value), false)}});
  }
  void add(MetricFamily family) { all_.push_back(std::move(family)); }
  std::string text() const { return prometheus::TextSerializer().Serialize(all_); }

 private:
  std::vector<MetricFamily> all_;
};

void add_runtime(families& out) {
  const gofer::runtime_stats s = gofer::stats();
  out.gauge("gofer_fibers", "Fibers that have been started and have not ended", s.fibers);
  out.gauge("gofer_fibers_runnable", "Fibers that are ready and wait for a processor", s.runnable);
  out.gauge("gofer_fibers_parked", "Fibers that wait in some operation", s.parked);
  out.counter("gofer_fibers_started_total", "Fibers started", s.started);
  out.counter("gofer_switches_total", "Switches between fibers", s.switches);
  out.counter("gofer_steals_total", "Fibers that a processor took from another", s.steals);
  out.gauge("gofer_processors", "Processors", s.processors);
  out.gauge("gofer_processors_idle", "Processors without work", s.idle_processors);
  out.gauge("gofer_threads", "Worker threads", s.threads);
}

void add_server(families& out, const gofer::http::server_stats& s) {
  out.counter("http_connections_accepted_total", "Connections accepted", s.accepted);
  out.gauge("http_connections", "Connections that are open", s.connections);
  out.counter("http_requests_total", "Requests that could be read", s.requests);
  out.gauge("http_requests_active", "Requests that have not been answered yet", s.active);
  out.counter("http_errors_total", "Requests answered with a status of 500 or above", s.errors);
  out.counter("http_refused_total", "Requests that could not be read as one", s.refused);
  out.counter("http_overloaded_total", "Connections and requests turned away for want of room", s.overloaded);
}

void add_pool(families& out, const gofer::worker_pool_stats& s) {
  out.gauge("pool_workers", "Workers", s.workers);
  out.gauge("pool_busy", "Tasks that run", s.busy);
  out.gauge("pool_queued", "Tasks that wait for a worker", s.queued);
  out.counter("pool_submitted_total", "Tasks accepted", s.submitted);
  out.counter("pool_completed_total", "Tasks that returned", s.completed);
  out.counter("pool_failed_total", "Tasks that threw", s.failed);
  out.counter("pool_timed_out_total", "Tasks that were asked to stop because they took too long", s.timed_out);
  out.counter("pool_rejected_total", "Tasks not accepted, because the queue was full", s.rejected);
}

/// The latencies of one route, in buckets of powers of two.
ClientMetric latencies(const std::string& route, const measurements::answers& seen) {
  ClientMetric m;
  m.label = {{"route", route}};
  const auto add = [&](double limit) {
    m.histogram.bucket.push_back({.cumulative_count = m.histogram.sample_count, .upper_bound = limit});
  };
  nanoseconds from{0};
  for (nanoseconds to = smallest_bucket; to <= largest_bucket; to *= 2) {
    m.histogram.sample_count += seen.latencies.between(from, to);
    add(std::chrono::duration<double>(to).count());
    from = to;
  }
  m.histogram.sample_count = seen.latencies.count();
  add(std::numeric_limits<double>::infinity());
  m.histogram.sample_sum = std::chrono::duration<double>(seen.sum).count();
  return m;
}

void add_distributed_pool(families& out, const watched_pool::look& s) {
  out.gauge("distributed_pool_up", "Whether the servers that keep it answer", s.error.empty() ? 1 : 0);
  out.gauge("distributed_pool_queued", "Tasks that nobody has taken", s.queued);
  out.gauge("distributed_pool_running", "Tasks that are taken, or wait for their next attempt", s.running);
  out.gauge("distributed_pool_dead", "Dead letters", s.dead);
  out.counter("distributed_pool_stored_total", "Tasks stored", s.stored);
  out.counter("distributed_pool_finished_total", "Tasks finished", s.finished);
}

void add_answers(families& out, const measurements::by_route& all) {
  MetricFamily answers{"http_answers_total", "Answers by route and the class of their status", MetricType::Counter, {}};
  MetricFamily seconds{"http_answer_seconds", "How long it took to answer", MetricType::Histogram, {}};
  for (const auto& [route, seen] : all) {
    for (std::size_t i = 2; i < seen.by_class.size(); ++i) {
      answers.metric.push_back(number(static_cast<double>(seen.by_class[i]), true,
                                      {{"route", route}, {"status", std::to_string(i) + "xx"}}));
    }
    seconds.metric.push_back(latencies(route, seen));
  }
  out.add(std::move(answers));
  out.add(std::move(seconds));
}

}  // namespace

void add_metrics(gofer::http::server& server, const access& operators, const resource_service& service,
                 const measurements& measured, const watched_pool& distributed) {
  server.handle("GET /metrics", operators.only([&](auto&, auto& r) {
    families out;
    add_answers(out, measured.all());
    add_server(out, server.stats());
    add_pool(out, service.pool_stats());
    if (const auto pool = distributed.now()) add_distributed_pool(out, *pool);
    add_runtime(out);
    r.header("Content-Type", "text/plain; version=0.0.4; charset=utf-8").write(out.text());
  }));
}

}  // namespace web
