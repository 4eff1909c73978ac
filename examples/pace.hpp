#pragma once

#include <chrono>
#include <cstdlib>

/// How long the examples' work takes: as long as it says, times the environment variable GOFER_PACE, if that is set.
/// GOFER_PACE=0.1 runs them ten times as fast.
inline std::chrono::nanoseconds pace(std::chrono::nanoseconds d) {
  const char* text = std::getenv("GOFER_PACE");
  const double factor = text == nullptr ? 1.0 : std::atof(text);
  return factor > 0 ? std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(d.count()) * factor)) : d;
}
