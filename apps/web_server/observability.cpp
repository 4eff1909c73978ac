#include "observability.hpp"

#include <prometheus/text_serializer.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <gofer/debug.hpp>

namespace web {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

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
  out.counter("pool_rejected_total", "Tasks not accepted, because the queue was full", s.rejected);
}

/// Takes as long to compare however much of it is right.
bool same_secret(std::string_view given, std::string_view expected) {
  unsigned differences = given.size() == expected.size() ? 0 : 1;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    differences |= static_cast<unsigned char>(expected[i] ^ (i < given.size() ? given[i] : '\0'));
  }
  return differences == 0;
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

observability::observability(gofer::http::server& server, const resource_service& service, std::string token)
    : server_(server), service_(service), token_(std::move(token)) {}

void observability::add_to_server() {
  server_.use([this](gofer::http::request&, gofer::http::response& r, const std::function<void()>& next) {
    const auto begin = std::chrono::steady_clock::now();
    next();
    measure(r, std::chrono::steady_clock::now() - begin);
  });
  server_.handle("GET /metrics", [this](auto& q, auto& r) {
    if (admits(q, r)) answer_metrics(r);
  });
  server_.handle("GET /debug/fibers", [this](auto& q, auto& r) {
    if (admits(q, r)) answer_fibers(r);
  });
}

void observability::measure(const gofer::http::response& r, std::chrono::nanoseconds took) {
  const double seconds = std::chrono::duration<double>(took).count();
  const auto bucket = static_cast<std::size_t>(std::ranges::lower_bound(limits, seconds) - limits.begin());
  measured_.local([&](measured& m) {
    ++m.by_latency[bucket];
    ++m.by_class[static_cast<std::size_t>(r.status() / 100)];
    m.seconds += seconds;
  });
}

bool observability::admits(gofer::http::request& q, gofer::http::response& r) const {
  const std::string& from = q.remote_address();
  if (from.starts_with("127.") || from.starts_with("[::1]")) return true;
  if (!token_.empty() && same_secret(q.header("Authorization"), "Bearer " + token_)) return true;
  r.status(token_.empty() ? 403 : 401);
  if (!token_.empty()) r.header("WWW-Authenticate", "Bearer");
  r.write("only for this machine, or with the token of --debug-token\n");
  return false;
}

void observability::answer_metrics(gofer::http::response& r) const {
  const measured sum = measured_.fold(measured{}, [](measured a, const measured& b) {
    for (std::size_t i = 0; i < a.by_latency.size(); ++i) a.by_latency[i] += b.by_latency[i];
    for (std::size_t i = 0; i < a.by_class.size(); ++i) a.by_class[i] += b.by_class[i];
    a.seconds += b.seconds;
    return a;
  });
  families out;
  MetricFamily answers{"http_answers_total", "Answers by the class of their status", MetricType::Counter, {}};
  for (std::size_t i = 2; i < sum.by_class.size(); ++i) {
    answers.metric.push_back(
        number(static_cast<double>(sum.by_class[i]), true, {{"status", std::to_string(i) + "xx"}}));
  }
  out.add(std::move(answers));
  ClientMetric latency;
  for (std::size_t i = 0; i < sum.by_latency.size(); ++i) {
    latency.histogram.sample_count += sum.by_latency[i];
    latency.histogram.bucket.push_back(
        {.cumulative_count = latency.histogram.sample_count,
         .upper_bound = i < limits.size() ? limits[i] : std::numeric_limits<double>::infinity()});
  }
  latency.histogram.sample_sum = sum.seconds;
  out.add({"http_answer_seconds", "How long it took to answer", MetricType::Histogram, {std::move(latency)}});
  add_server(out, server_.stats());
  add_pool(out, service_.pool_stats());
  add_runtime(out);
  r.header("Content-Type", "text/plain; version=0.0.4; charset=utf-8").write(out.text());
}

void observability::answer_fibers(gofer::http::response& r) {
  const memory_file file;
  gofer::debug::dump(file.descriptor());
  r.write(file.content());
}

}  // namespace web
