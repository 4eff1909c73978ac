#pragma once

#include <string_view>

#include <gofer/http.hpp>

namespace gofer::inline v0::http {

/// RFC 9110, section 15; empty for a code without a phrase.
std::string_view reason_phrase(int status) noexcept;

/// 503, and to try again in a second.
void answer_busy(response& r, std::string_view why);

}  // namespace gofer::inline v0::http
