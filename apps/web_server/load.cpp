#include "load.hpp"

#include <exception>
#include <optional>
#include <utility>

#include <gofer/gofer.hpp>
#include <gofer/http_client.hpp>

namespace web {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr auto patience = 60s;

struct answer {
  int status = 0;  // 0: there was none
  std::chrono::nanoseconds latency{0};
  std::string failure;
};

answer ask(gofer::http::client& client, const std::string& address, std::size_t id, std::stop_token stop) {
  answer a;
  try {
    const auto begin = steady_clock::now();
    a.status =
        client.send({.url = "http://" + address + "/api/resource/" + std::to_string(id), .stop = std::move(stop)})
            .status();
    a.latency = steady_clock::now() - begin;
  } catch (const std::exception& e) {
    a.failure = e.what();
  }
  return a;
}

}  // namespace

load_report run_load(const std::string& address, std::size_t requests, std::stop_token stop,
                     const std::function<void(const load_report&)>& tell) {
  load_report report;
  gofer::http::client client({.connect_timeout = patience, .timeout = patience});
  gofer::chan<answer> answers(requests);
  for (std::size_t id = 1; id <= requests; ++id) {
    gofer::go([=]() mutable { answers.send(ask(client, address, id, stop)); });
  }
  for (report.sent = requests; report.answered < requests;) {
    std::optional<answer> a;
    if (answers.receive(a, stop) != gofer::chan_status::ok) break;
    if (a->status == 0) {
      --report.sent;
      --requests;
      if (report.first_failure.empty()) report.first_failure = a->failure;
      continue;
    }
    ++report.answered;
    if (a->status == 503) {
      ++report.rejected;
    } else {
      report.latency += a->latency;
      if (a->status == 500) ++report.errors;
    }
    tell(report);
  }
  return report;
}

}  // namespace web
