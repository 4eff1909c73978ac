#include "http/chunk_heads.hpp"

#include <algorithm>
#include <cstddef>

#include "http/characters.hpp"

namespace gofer::inline v0::http {
namespace {

/// "5;name=value": a size, and extensions of which no quoted one is open at the end.
bool is_chunk_head(std::string_view line) noexcept {
  const auto size = std::min(line.find_first_not_of("0123456789abcdefABCDEF"), line.size());
  if (size == 0) return false;
  const std::string_view extensions = line.substr(size);
  if (!extensions.empty() && extensions[0] != ';') return false;
  bool quoted = false;
  for (std::size_t i = 0; i < extensions.size(); ++i) {
    const char c = extensions[i];
    if (is_control(c)) return false;
    if (c == '"') quoted = !quoted;
    if (c == '\\' && quoted && ++i == extensions.size()) return false;
  }
  return !quoted;
}

}  // namespace

chunk_heads::look chunk_heads::at(std::string_view bytes) const noexcept {
  if (!next_) return look::right;
  constexpr std::size_t shortest_end = 5;  // "0", an end of line, and another
  const bool enough = bytes.size() >= shortest_end;
  if (after_chunk_) {  // whose end comes first
    if (!std::string_view("\r\n").starts_with(bytes.substr(0, 2))) return look::wrong;
    if (bytes.size() < 2) return look::incomplete;
    bytes.remove_prefix(2);
  }
  const auto end = bytes.find('\n');
  if (end == std::string_view::npos) return look::incomplete;
  const bool right = end > 0 && bytes[end - 1] == '\r' && is_chunk_head(bytes.substr(0, end - 1));
  if (!right) return look::wrong;
  return enough ? look::right : look::incomplete;
}

}  // namespace gofer::inline v0::http
