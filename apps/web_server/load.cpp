#include "load.hpp"

#include <charconv>
#include <span>
#include <system_error>

#include <gofer/gofer.hpp>
#include <gofer/net.hpp>

#include "progress_bar.hpp"

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

/// The status of "HTTP/1.1 200 OK..."; 0 if it is none.
int status_of(std::string_view message) {
  int status = 0;
  if (message.starts_with("HTTP/1.1 ") && message.size() > 12) {
    std::from_chars(message.data() + 9, message.data() + 12, status);
  }
  return status;
}

answer ask(const std::string& address, std::size_t id) {
  answer a;
  try {
    auto connection = gofer::net::dial(address, patience);
    connection.set_deadline(steady_clock::now() + patience);
    const std::string request = "GET /api/resource/" + std::to_string(id) + " HTTP/1.1\r\nHost: " + address +
                                "\r\nUser-Agent: gofer-web\r\nConnection: close\r\n\r\n";
    const auto begin = steady_clock::now();
    connection.write(std::as_bytes(std::span(request)));
    std::string message;
    char part[2048];
    while (const std::size_t got = connection.read_some(std::as_writable_bytes(std::span(part)))) {
      message.append(part, got);
    }
    a.latency = steady_clock::now() - begin;
    a.status = status_of(message);
    if (a.status == 0) a.failure = "the answer of " + address + " is not HTTP";
  } catch (const std::system_error& e) {
    a.failure = e.what();
  }
  return a;
}

}  // namespace

load_report run_load(const std::string& address, std::size_t requests, std::stop_token stop) {
  load_report report;
  gofer::chan<answer> answers(requests);
  for (std::size_t id = 1; id <= requests; ++id) {
    gofer::go([=]() mutable { answers.send(ask(address, id)); });
  }
  progress_bar bar(requests);
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
    bar.show(report.answered);
  }
  return report;
}

}  // namespace web
