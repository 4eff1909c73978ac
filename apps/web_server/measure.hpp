#pragma once

#include <chrono>
#include <cstddef>
#include <stop_token>
#include <string>

namespace web {

struct measurement_options {
  std::string url;
  std::size_t connections = 64;
  std::chrono::nanoseconds duration = std::chrono::seconds(10);
  std::size_t requests = 0;  // instead of a duration, if it is not 0
};

/// Asks a server for one thing again and again, over many connections at once; prints how often it answered and a
/// histogram of how long that took. Shows a progress bar. Ends early when a stop is requested. Returns false if any
/// request was not answered. Throws what a first request throws.
bool measure(const measurement_options& options, std::stop_token stop);

}  // namespace web
