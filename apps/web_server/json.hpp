#pragma once

#include <charconv>
#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include <gofer/http.hpp>

#include "statistics.hpp"

namespace web {

using json = nlohmann::ordered_json;

inline double milliseconds(std::chrono::nanoseconds d) { return std::chrono::duration<double, std::milli>(d).count(); }

/// A whole number and nothing else.
inline std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t n = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  return error == std::errc() && stop == text.data() + text.size() ? std::optional(n) : std::nullopt;
}

/// In valid UTF-8, whatever the strings in it are: some are of requests.
inline std::string to_text(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

inline void answer_json(gofer::http::response& r, int status, const json& body) {
  r.status(status).header("Content-Type", "application/json").write(to_text(body)).write("\n");
}

/// What GET /stats tells.
inline json to_json(const statistics& s) {
  return {{"requests", s.requests},
          {"active", s.active()},
          {"errors", s.errors},
          {"rejected", s.rejected},
          {"abandoned", s.abandoned},
          {"total_latency_ms", milliseconds(s.latency)},
          {"average_latency_ms", milliseconds(s.average_latency())}};
}

}  // namespace web
