#include "http/fields.hpp"

#include <algorithm>
#include <stdexcept>

#include "http/characters.hpp"

namespace gofer::inline v0::http {
namespace {

const std::string nothing;

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// RFC 9110, section 5.6.2.
constexpr auto of_tokens = byte_set::of_letters_digits_and("!#$%&'*+-.^_`|~");
bool is_token(std::string_view text) noexcept { return !text.empty() && of_tokens.has_all_of(text); }

bool is_field_value(std::string_view text) noexcept { return std::ranges::none_of(text, is_control); }

}  // namespace

bool same_name(std::string_view a, std::string_view b) noexcept { return std::ranges::equal(a, b, {}, lower, lower); }

const std::string& find_value(const field_list& list, std::string_view name) noexcept {
  const auto found = std::ranges::find(list, name, [](const auto& f) { return std::string_view(f.first); });
  return found == list.end() ? nothing : found->second;
}

const std::string& find_field(const field_list& fields, std::string_view name) noexcept {
  const auto found = std::ranges::find_if(fields, [&](const auto& f) { return same_name(f.first, name); });
  return found == fields.end() ? nothing : found->second;
}

void check_field(const char* operation, std::string_view name, std::string_view value) {
  if (!is_token(name)) {
    throw std::invalid_argument(std::string(operation) + ": \"" + std::string(name) + "\" cannot be a field's name");
  }
  if (!is_field_value(value)) {
    throw std::invalid_argument(std::string(operation) + ": the value of " + std::string(name) +
                                " has a line end or another control character");
  }
  for (const std::string_view framing : {"content-length", "transfer-encoding", "connection"}) {
    if (same_name(name, framing)) {
      throw std::invalid_argument(std::string(operation) + ": " + std::string(name) + " is not the caller's to set");
    }
  }
}

}  // namespace gofer::inline v0::http
