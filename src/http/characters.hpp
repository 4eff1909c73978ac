#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace gofer::inline v0::http {

/// Some of the 256 bytes.
class byte_set {
 public:
  constexpr explicit byte_set(std::string_view members) noexcept {
    for (const char c : members) has_[static_cast<unsigned char>(c)] = true;
  }
  static constexpr byte_set of_letters_digits_and(std::string_view others) noexcept {
    byte_set all(others);
    for (char c = 'a'; c <= 'z'; ++c) all.has_[static_cast<unsigned char>(c)] = true;
    for (char c = 'A'; c <= 'Z'; ++c) all.has_[static_cast<unsigned char>(c)] = true;
    for (char c = '0'; c <= '9'; ++c) all.has_[static_cast<unsigned char>(c)] = true;
    return all;
  }

  constexpr bool has(char c) const noexcept { return has_[static_cast<unsigned char>(c)]; }
  constexpr bool has_all_of(std::string_view text) const noexcept {
    return std::ranges::all_of(text, [this](char c) { return has(c); });
  }

 private:
  std::array<bool, 256> has_{};
};

/// What may be in no head; a tab may.
inline bool is_control(char c) noexcept {
  return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 0x7f;  // whether a char has a sign or not
}

/// Visible ASCII.
inline bool is_visible(char c) noexcept { return c > ' ' && static_cast<unsigned char>(c) < 0x7f; }

}  // namespace gofer::inline v0::http
