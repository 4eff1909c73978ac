#include "statistics.hpp"

#include <fmt/core.h>

#include <cstdio>

namespace web {

statistics operator+(const statistics& a, const statistics& b) {
  return {.requests = a.requests + b.requests,
          .answered = a.answered + b.answered,
          .errors = a.errors + b.errors,
          .abandoned = a.abandoned + b.abandoned,
          .rejected = a.rejected + b.rejected,
          .latency = a.latency + b.latency};
}

std::string to_text(std::chrono::nanoseconds d) {
  const auto ns = static_cast<double>(d.count());
  if (ns >= 1e9) return fmt::format("{:.3f}s", ns / 1e9);
  if (ns >= 1e6) return fmt::format("{:.3f}ms", ns / 1e6);
  if (ns > 0) return fmt::format("{:.3f}µs", ns / 1e3);
  return "0s";
}

void print(const statistics& s) {
  fmt::print("\nFinal Statistics:\n");
  fmt::print("Total Requests: {}\n", s.requests);
  fmt::print("Active Connections: {}\n", s.active());
  fmt::print("Errors: {}\n", s.errors);
  fmt::print("Total Latency: {}\n", to_text(s.latency));
  fmt::print("Average Latency: {}\n", to_text(s.average_latency()));
  if (s.abandoned != 0) fmt::print("Abandoned: {} (the client or the server went away first)\n", s.abandoned);
  if (s.rejected != 0) fmt::print("Rejected: {} (the queue was full)\n", s.rejected);
  std::fflush(stdout);
}

}  // namespace web
