#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gofer::inline v0::http {

/// A request's target, taken apart.
struct target {
  /// Decoded; a path that ends in a slash has an empty last one. Never none.
  std::vector<std::string> segments;
  std::vector<std::pair<std::string, std::string>> query;

  std::string path() const;
};

/// "host", "host:port" or "[address]:port", without a user's name.
bool is_authority(std::string_view text);

/// Reads "/path?query" and "http://host/path?query". Nothing for what is neither, for a fragment, wrong
/// percent-encodings, NUL bytes, and a ".." that leaves the root.
std::optional<target> parse_target(std::string_view text);

}  // namespace gofer::inline v0::http
