#pragma once

namespace gofer::inline v0::http {

/// Of ASCII.
inline bool is_letter_or_digit(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// What may be in no head; a tab may.
inline bool is_control(char c) noexcept { return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f; }

}  // namespace gofer::inline v0::http
