#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include <gofer/gofer.hpp>
#include <gofer/http.hpp>

#include "resource_service.hpp"

namespace web {

/// What operators look at: GET /metrics, for Prometheus, and GET /debug/fibers, what every fiber is doing. Both answer
/// this machine alone, or who brings the token ("Authorization: Bearer TOKEN"), if there is one.
class observability {
 public:
  /// All three outlive the server's last answer.
  observability(gofer::http::server& server, const resource_service& service, std::string token);

  /// Adds the two, and measures every answer from then on.
  void add_to_server();

 private:
  /// Answers by how long they took; the last bucket is for those beyond all limits.
  static constexpr std::array limits{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5};  // s
  struct measured {
    std::array<std::uint64_t, limits.size() + 1> by_latency{};
    std::array<std::uint64_t, 6> by_class{};  // of the status: 2 is 200 to 299
    double seconds = 0;
  };

  void measure(const gofer::http::response& r, std::chrono::nanoseconds took);
  bool admits(gofer::http::request& q, gofer::http::response& r) const;
  void answer_metrics(gofer::http::response& r) const;
  static void answer_fibers(gofer::http::response& r);

  gofer::http::server& server_;
  const resource_service& service_;
  const std::string token_;
  gofer::sharded<measured> measured_;
};

}  // namespace web
