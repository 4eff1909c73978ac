#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <stop_token>
#include <string>

namespace web {

/// What the clients saw.
struct load_report {
  std::size_t sent = 0;
  std::size_t answered = 0;
  std::size_t errors = 0;               // of these, with 500
  std::size_t rejected = 0;             // of these, with 503
  std::chrono::nanoseconds latency{0};  // of those that are neither rejected nor failed, in sum
  std::string first_failure;            // why a request was not answered

  std::size_t accepted() const noexcept { return answered - rejected; }
};

/// Requests at once; each is a fiber and a connection.
inline constexpr std::size_t most_at_once = 100'000;

/// The guide's load: as many fibers as requests, each asks for one resource over a connection of its own,
/// /api/resource/1 and on. Tells how it goes after every answer. Ends early when a stop is requested.
load_report run_load(const std::string& address, std::size_t requests, std::stop_token stop,
                     const std::function<void(const load_report&)>& tell);

}  // namespace web
