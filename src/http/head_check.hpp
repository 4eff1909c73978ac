#pragma once

#include <cstddef>
#include <string_view>

#include "http/refusal.hpp"

namespace gofer::inline v0::http {

/// Looks at the head of a request ahead of the parser, which would have to wait for the end of it and forgives what
/// others may read in another way: lines that end in LF alone, a bare CR, control bytes, bytes beyond ASCII and surplus
/// spaces in the request line (RFC 9112, sections 2.2 and 3).
class head_check {
 public:
  explicit head_check(std::size_t most) noexcept : most_(most) {}

  /// `head` is all there is of it so far, with what may be behind. Looks at what it has not seen yet.
  refusal look(std::string_view head) noexcept;

  /// The empty line has come.
  bool ended() const noexcept { return ended_; }

 private:
  refusal look_at(char c) noexcept;
  refusal end_line(std::string_view head) noexcept;

  const std::size_t most_;
  std::size_t seen_ = 0;
  std::size_t line_begin_ = 0;
  bool first_line_ = true;
  bool after_cr_ = false;
  bool ended_ = false;
};

}  // namespace gofer::inline v0::http
