#include "http/head_check.hpp"

#include <algorithm>

#include "http/characters.hpp"

namespace gofer::inline v0::http {
namespace {

constexpr refusal bad_line{.status = 400, .why = "the request line has to be \"METHOD target HTTP/1.1\""};

/// Right wherever it is.
bool is_plain(char c) noexcept { return is_visible(c) || c == ' '; }

bool digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// "HTTP/1.1", or another version.
bool is_version(std::string_view text) noexcept {
  return text.size() == 8 && text.starts_with("HTTP/") && digit(text[5]) && text[6] == '.' && digit(text[7]);
}

}  // namespace

refusal head_check::look(std::string_view head) noexcept {
  for (; !ended_; ++seen_) {
    if (!after_cr_) {
      const auto first = head.begin() + static_cast<std::ptrdiff_t>(seen_);
      const auto limit = head.begin() + static_cast<std::ptrdiff_t>(std::clamp(most_, seen_, head.size()));
      seen_ = static_cast<std::size_t>(std::find_if_not(first, limit, is_plain) - head.begin());
    }
    if (seen_ == head.size()) break;
    if (seen_ >= most_) {
      return first_line_ ? refusal{.status = 414, .why = "the request's target is too long"}
                         : refusal{.status = 431, .why = "the request's head is too large"};
    }
    const char c = head[seen_];
    if (after_cr_ || c == '\n') {
      if (!after_cr_ || c != '\n') return {.status = 400, .why = "a line of the request's head does not end in CR LF"};
      after_cr_ = false;
      if (const refusal why = end_line(head.substr(0, seen_ - 1))) return why;
      line_begin_ = seen_ + 1;
    } else if (c == '\r') {
      after_cr_ = true;
    } else if (const refusal why = look_at(c)) {
      return why;
    }
  }
  return {};
}

inline refusal head_check::look_at(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  if (is_control(c)) return {.status = 400, .why = "the request's head has a control byte"};
  return first_line_ && (byte > 0x7f || c == '\t') ? bad_line : refusal{};
}

/// `head` ends where the line does.
refusal head_check::end_line(std::string_view head) noexcept {
  const std::string_view line = head.substr(line_begin_);
  if (!first_line_) {
    ended_ = line.empty();
    return {};
  }
  first_line_ = false;
  const auto target = line.find(' ') + 1;
  const auto version = line.rfind(' ') + 1;
  const bool two_spaces = target > 1 && target != version && line.find(' ', target) + 1 == version;
  return two_spaces && is_version(line.substr(version)) ? refusal{} : bad_line;
}

}  // namespace gofer::inline v0::http
