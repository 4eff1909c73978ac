#pragma once

#include <string>

#include <gofer/http.hpp>

namespace web {

/// Whom the operators' pages are for: this machine, and who brings the token ("Authorization: Bearer TOKEN", or it as
/// the password that a browser asks for).
class access {
 public:
  /// Without a token this machine alone.
  explicit access(std::string token);

  /// `h` for those, 401 or 403 for others. What changes something is also refused when another site's page asks for it.
  gofer::http::handler only(gofer::http::handler h) const;

 private:
  bool is_from_here(const gofer::http::request& q) const;
  bool has_token(const gofer::http::request& q) const;

  std::string token_;
};

}  // namespace web
