// gofer-web: the guide's concurrent web server, on real HTTP. Plays the guide's load against itself, then serves.

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>

#include <gofer/gofer.hpp>
#include <gofer/http.hpp>

#include "access.hpp"
#include "dashboard.hpp"
#include "load.hpp"
#include "measure.hpp"
#include "metrics.hpp"
#include "progress_bar.hpp"
#include "resource_service.hpp"
#include "watched_pool.hpp"

namespace {

constexpr int wrong_use = 2;

struct options {
  gofer::http::server_options server;
  std::size_t workers = 5;
  std::size_t max_workers = 0;  // 0: as many as `workers`
  std::size_t queue = 100;
  std::size_t requests = 100;
  double grace = 10;
  bool once = false;
  bool log = false;
  std::string debug_token;
  gofer::http::tls_files tls;
  web::measurement_options measured;  // instead of serving, if there is a URL
  double duration = 10;
  std::string watched_pool;
  std::string nats_servers = "nats://127.0.0.1:4222";
};

/// Which CLI::Range lets through.
std::string no_nan(const std::string& text) {
  return std::isnan(std::strtod(text.c_str(), nullptr)) ? "nan is no number" : "";
}

/// Returns the exit code if the program is to end, as after --help.
std::optional<int> parse(int argc, char** argv, options& o) {
  CLI::App app(
      "A concurrent web server: GET /api/resource/{id} goes through a bounded pool of workers, /stats tells what\n"
      "they did, /healthz says that the server is there. For operators there are a dashboard at /debug/, /metrics for\n"
      "Prometheus, and /debug/fibers, what every fiber is doing. At first it plays a load against itself.");
  app.name("gofer-web");
  app.add_option("--address", o.server.address, "Where to listen; port 0 takes a free one")->capture_default_str();
  app.add_flag("--reuse-port", o.server.reuse_port,
               "Let another one listen there, too: start the new one, then end the old one, and no request is lost");
  app.add_option("--workers", o.workers, "Resources that are worked on at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  app.add_option("--max-workers", o.max_workers, "Let the pool grow up to so many while requests wait; 0: it does not")
      ->capture_default_str()
      ->check(CLI::Range(0, 100'000));
  app.add_option("--queue", o.queue, "Requests that may wait for a worker; more are answered with 503")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000'000));
  const auto* requests =
      app.add_option("--requests", o.requests, "Requests of the load that is played at first; 0: none")
          ->capture_default_str()
          ->check(CLI::Range(0, 1'000'000'000));
  app.add_option("--max-connections", o.server.max_connections, "Connections at once; more are answered with 503")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000'000));
  app.add_option("--grace", o.grace, "Seconds that requests are given to be answered after SIGINT or SIGTERM")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 86400.0))
      ->check(no_nan);
  app.add_flag("--once", o.once, "End after the load instead of serving on");
  auto* certificate = app.add_option("--tls-certificate", o.tls.certificate,
                                     "Speak HTTPS, with the certificate in this PEM file; no load is played then")
                          ->check(CLI::ExistingFile);
  auto* key =
      app.add_option("--tls-key", o.tls.key, "Its key; both are read again on SIGHUP")->check(CLI::ExistingFile);
  certificate->needs(key);
  key->needs(certificate);
  app.add_flag("--log", o.log, "Write a line of JSON to stderr for every answer");
  app.add_option(
         "--debug-token", o.debug_token,
         "Lets other machines see /metrics and /debug/, with \"Authorization: Bearer TOKEN\", or it as the password")
      ->envname("GOFER_WEB_DEBUG_TOKEN");
  auto* watched = app.add_option("--watch-pool", o.watched_pool,
                                 "Show the distributed pool of this name (a gofer::nats_pool) on the dashboard, too");
  app.add_option("--nats", o.nats_servers, "The servers that keep it")
      ->envname("NATS_URL")
      ->capture_default_str()
      ->needs(watched);
  const auto* load =
      app.add_option("--load", o.measured.url,
                     "Instead of serving asks http://... or https://... again and again, and tells how long that took");
  app.add_option("--connections", o.measured.connections, "Of --load")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  app.add_option("--duration", o.duration, "Of --load, in seconds, unless --requests says how often")
      ->capture_default_str()
      ->check(CLI::Range(0.01, 86400.0))
      ->check(no_nan);
  try {
    app.parse(argc, argv);
    if (*load && *requests) o.measured.requests = o.requests;
    if (!*load && o.requests > web::most_at_once) {
      throw CLI::ValidationError("--requests",
                                 fmt::format("without --load at most {} are possible", web::most_at_once));
    }
    if (o.max_workers != 0 && o.max_workers < o.workers) {
      throw CLI::ValidationError("--max-workers", fmt::format("fewer than the {} of --workers", o.workers));
    }
    if (*certificate) {
      o.server.tls = o.tls;
      o.requests = 0;  // the load would have to trust it
    }
    o.measured.duration = std::chrono::nanoseconds(static_cast<std::int64_t>(o.duration * 1e9));
    return std::nullopt;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    fmt::print(stderr, "gofer-web: {}; --help lists the options\n", e.what());
    return wrong_use;
  }
}

void play_load(const std::string& address, const options& o, std::stop_token stop,
               const web::resource_service& service) {
  fmt::print("Playing the load: {} requests from {} fibers\n", o.requests, o.requests);
  std::fflush(stdout);
  const web::load_report seen = [&] {
    web::progress_bar bar(o.requests);
    return web::run_load(address, o.requests, std::move(stop),
                         [&](const web::load_report& so_far) { bar.show(so_far.answered); });
  }();
  web::print(service.stats());
  fmt::print(
      "Clients saw: {} answers, {} errors, total latency {}, average {}\n", seen.answered, seen.errors,
      web::to_text(seen.latency),
      web::to_text(seen.accepted() == 0 ? seen.latency : seen.latency / static_cast<std::int64_t>(seen.accepted())));
  if (!seen.first_failure.empty()) {
    fmt::print(stderr, "gofer-web: {} requests were not answered; the first: {}\n", o.requests - seen.sent,
               seen.first_failure);
  }
  std::fflush(stdout);
}

void reload_on_hangup(gofer::http::server& server, std::stop_token over) {
  auto hangups = gofer::notify_signals({SIGHUP});
  for (std::optional<int> s; hangups.receive(s, over) == gofer::chan_status::ok;) {
    try {
      server.reload_certificate();
      fmt::print(stderr, "gofer-web: SIGHUP, the certificate has been read again\n");
    } catch (const std::exception& e) {
      fmt::print(stderr, "gofer-web: SIGHUP, but {}; going on with the certificate as it was\n", e.what());
    }
  }
}

int serve(const options& o) {
  auto signals = gofer::notify_signals({SIGINT, SIGTERM});
  web::resource_service service(o.workers, std::max(o.workers, o.max_workers), o.queue);
  gofer::http::server server(o.server);
  service.add_to(server);
  web::measurements measured;
  server.use(measured.measure());
  if (o.log) server.use(gofer::http::access_log());
  const web::access operators(o.debug_token);
  const web::watched_pool distributed(o.watched_pool, o.nats_servers);
  web::add_metrics(server, operators, service, measured, distributed);
  web::dashboard dashboard(server, service, measured, distributed, !o.server.tls);
  dashboard.add_to_server(operators);
  server.start();
  dashboard.start();
  std::stop_source over;
  gofer::wait_group reloading;
  if (o.server.tls) reloading.go([&] { reload_on_hangup(server, over.get_token()); });
  const std::string url = fmt::format("{}://{}", o.server.tls ? "https" : "http", server.address());
  fmt::print("gofer-web listens on {} with {} workers and a queue of {}\n", url, o.workers, o.queue);
  std::fflush(stdout);

  std::stop_source load_stop;
  const gofer::chan<int> loaded;
  auto load = gofer::async([&] {
    struct close_at_end {
      const gofer::chan<int>& ch;
      ~close_at_end() { ch.close(); }
    } const at_end{loaded};
    if (o.requests != 0) play_load(server.address(), o, load_stop.get_token(), service);
  });
  int signal = 0;
  const auto on_signal = [&](std::optional<int> s) { signal = s.value_or(0); };
  gofer::select(gofer::on_receive(signals, on_signal), gofer::on_receive(loaded));
  if (!o.once && signal == 0) {
    fmt::print("Serving until Ctrl-C; {}/debug/ shows it at work\n", url);
    std::fflush(stdout);
    signal = signals.receive().value_or(0);
  }

  if (signal != 0) {
    fmt::print(stderr, "gofer-web: {}, answering what has been accepted; once more to end at once\n",
               signal == SIGINT ? "SIGINT" : "SIGTERM");
    gofer::go([signals]() mutable {
      const int second = signals.receive().value_or(SIGTERM);
      fmt::print(stderr, "gofer-web: second signal, ending at once\n");
      std::_Exit(128 + second);
    });
  }
  const bool all_answered = server.shutdown(std::chrono::duration<double>(o.grace));
  over.request_stop();
  reloading.wait();
  load_stop.request_stop();
  load.get();
  if (!all_answered) fmt::print(stderr, "gofer-web: some requests took longer than {} s and were cut off\n", o.grace);
  if (!o.once || signal != 0) web::print(service.stats());
  return all_answered ? 0 : 1;
}

int measure(const options& o) {
  std::stop_source stop;
  gofer::go([stop, signals = gofer::notify_signals({SIGINT, SIGTERM})]() mutable {
    (void)signals.receive();
    stop.request_stop();
  });
  return web::measure(o.measured, stop.get_token()) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  options o;
  if (const auto code = parse(argc, argv, o)) return *code;
  try {
    return gofer::run([&] { return o.measured.url.empty() ? serve(o) : measure(o); });
  } catch (const std::exception& e) {
    fmt::print(stderr, "gofer-web: {}\n", e.what());
    return wrong_use;
  }
}
