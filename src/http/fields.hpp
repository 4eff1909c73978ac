#pragma once

#include <string>
#include <string_view>

#include <gofer/http.hpp>

namespace gofer::inline v0::http {

/// ASCII, whatever the case.
bool same_name(std::string_view a, std::string_view b) noexcept;

/// The value of the first of that name; else an empty one.
const std::string& find_value(const field_list& list, std::string_view name) noexcept;

/// The value of the first field of that name, whatever its case; else an empty one.
const std::string& find_field(const field_list& fields, std::string_view name) noexcept;

/// Throws std::invalid_argument, saying for which `operation`, for what may not be in a head or is not the caller's to
/// set: Content-Length, Transfer-Encoding and Connection frame the message.
void check_field(const char* operation, std::string_view name, std::string_view value);

}  // namespace gofer::inline v0::http
