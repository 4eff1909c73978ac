#include "http/target.hpp"

#include <algorithm>
#include <charconv>

#include "http/characters.hpp"
#include "http/fields.hpp"

namespace gofer::inline v0::http {
namespace {

/// What is not itself when it is decoded, or not always.
constexpr byte_set special(std::string_view("%+\0", 3));

std::optional<std::string> decode(std::string_view text, bool plus_is_space) {
  if (std::ranges::none_of(text, [](char c) { return special.has(c); })) return std::string(text);
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      unsigned code = 0;
      const char* from = text.data() + i + 1;
      if (std::from_chars(from, from + 2, code, 16).ptr != from + 2 || code == 0) return std::nullopt;
      c = static_cast<char>(code);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    } else if (c == '\0') {
      return std::nullopt;
    }
    out.push_back(c);
  }
  return out;
}

std::string_view take_until(std::string_view& rest, char separator) {
  const auto at = rest.find(separator);
  const std::string_view taken = rest.substr(0, at);
  rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
  return taken;
}

/// "a/../b" in one segment, whose slashes were encoded: who makes a file's name of it would step back.
bool hides_dots(std::string_view text) {
  if (text.find('/') == std::string_view::npos) return false;
  while (!text.empty()) {
    const std::string_view part = take_until(text, '/');
    if (part == "." || part == "..") return true;
  }
  return false;
}

bool parse_path(std::string_view rest, std::vector<std::string>& segments) {
  bool directory = true;  // the path ends in a slash, or in a dot segment
  while (!rest.empty()) {
    const bool last = rest.find('/') == std::string_view::npos;
    auto part = decode(take_until(rest, '/'), false);
    if (!part || hides_dots(*part)) return false;
    directory = !last;
    if (*part == "..") {
      if (segments.empty()) return false;
      segments.pop_back();
      directory = true;
    } else if (*part == ".") {
      directory = true;
    } else if (!part->empty()) {
      segments.push_back(*std::move(part));
    }
  }
  if (directory) segments.emplace_back();
  return true;
}

/// "http://" or "https://", in any case.
bool skip_scheme(std::string_view& text) {
  const auto end = text.find("://");
  if (end == std::string_view::npos) return false;
  const std::string_view scheme = text.substr(0, end);
  text.remove_prefix(end + 3);
  return same_name(scheme, "http") || same_name(scheme, "https");
}

constexpr auto of_addresses = byte_set::of_letters_digits_and(":.%");  // IPv6, with a zone
constexpr auto of_names = byte_set::of_letters_digits_and("-._~%!$&'()*+;=");

}  // namespace

bool is_authority(std::string_view text) {
  std::string_view port;
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == std::string_view::npos || !of_addresses.has_all_of(text.substr(1, end - 1))) return false;
    port = text.substr(end + 1);
    text = text.substr(1, end - 1);
  } else {
    const auto colon = std::min(text.find(':'), text.size());
    port = text.substr(colon);
    text = text.substr(0, colon);
    if (!of_names.has_all_of(text)) return false;
  }
  if (text.empty()) return false;
  return port.empty() || (port[0] == ':' && port.find_first_not_of("0123456789", 1) == std::string_view::npos);
}

std::string target::path() const {
  std::string joined;
  for (const std::string& s : segments) (joined += '/') += s;
  return joined;
}

std::optional<target> parse_target(std::string_view text) {
  if (!text.starts_with('/')) {
    if (!skip_scheme(text)) return std::nullopt;
    const auto path = std::min(text.find_first_of("/?"), text.size());
    if (!is_authority(text.substr(0, path))) return std::nullopt;
    text.remove_prefix(path);
  }
  if (text.find('#') != std::string_view::npos) return std::nullopt;
  target parsed;
  std::string_view query = text;
  std::string_view path = take_until(query, '?');
  if (path.starts_with('/')) path.remove_prefix(1);
  if (!parse_path(path, parsed.segments)) return std::nullopt;
  while (!query.empty()) {
    std::string_view value = take_until(query, '&');
    auto name = decode(take_until(value, '='), true);
    auto decoded = decode(value, true);
    if (!name || !decoded) return std::nullopt;
    if (!name->empty()) parsed.query.emplace_back(*std::move(name), *std::move(decoded));
  }
  return parsed;
}

}  // namespace gofer::inline v0::http
