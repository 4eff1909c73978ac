#pragma once

#include <string_view>

namespace gofer::http {

/// RFC 9110, section 15; empty for a code without a phrase.
std::string_view reason_phrase(int status) noexcept;

}  // namespace gofer::http
