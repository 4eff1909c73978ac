#include "access.hpp"

#include <cstddef>
#include <string_view>
#include <utility>

namespace web {
namespace {

/// Takes as long to compare however much of it is right.
bool same_secret(std::string_view given, std::string_view expected) {
  unsigned differences = given.size() == expected.size() ? 0 : 1;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    differences |= static_cast<unsigned char>(expected[i] ^ (i < given.size() ? given[i] : '\0'));
  }
  return differences == 0;
}

/// What base64 stands for, up to what is none.
std::string from_base64(std::string_view text) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0;
  unsigned count = 0;
  for (const char c : text) {
    const auto digit = digits.find(c);
    if (digit == std::string_view::npos) break;
    bits = bits << 6 | static_cast<unsigned>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += static_cast<char>(bits >> count & 255);
  }
  return bytes;
}

/// "127.0.0.1:8080", "[::1]:8080", "localhost"
bool is_this_machine(std::string_view host) {
  const std::string_view name = host.substr(0, host.starts_with('[') ? host.find(']') + 1 : host.find(':'));
  return name == "localhost" || name == "[::1]" ||
         (name.starts_with("127.") && name.find_first_not_of("0123456789.") == std::string_view::npos);
}

/// Browsers say where a request comes from; programs have no page that could have been made to ask.
bool is_of_own_page(const gofer::http::request& q) {
  const std::string& site = q.header("Sec-Fetch-Site");
  if (!site.empty()) return site == "same-origin" || site == "none";
  const std::string& origin = q.header("Origin");
  return origin.empty() || origin.ends_with("://" + q.header("Host"));
}

}  // namespace

access::access(std::string token) : token_(std::move(token)) {}

/// By the name it asks for, too: a name that others have made to mean this machine, or what a proxy passes on, is not
/// from here.
bool access::is_from_here(const gofer::http::request& q) const {
  return is_this_machine(q.remote_address()) && is_this_machine(q.header("Host"));
}

bool access::has_token(const gofer::http::request& q) const {
  if (token_.empty()) return false;
  const std::string_view given = q.header("Authorization");
  if (!given.starts_with("Basic ")) return same_secret(given, "Bearer " + token_);
  const std::string named = from_base64(given.substr(6));
  const auto colon = named.find(':');
  return colon != std::string::npos && same_secret(std::string_view(named).substr(colon + 1), token_);
}

gofer::http::handler access::only(gofer::http::handler h) const {
  return [this, h = std::move(h)](gofer::http::request& q, gofer::http::response& r) {
    const bool admitted = is_from_here(q) || has_token(q);
    if (!admitted) {
      r.status(token_.empty() ? 403 : 401);
      if (!token_.empty()) r.header("WWW-Authenticate", "Basic realm=\"gofer-web: the token is the password\"");
      r.write("only for this machine, or with the token of --debug-token\n");
    } else if (q.method() != "GET" && q.method() != "HEAD" && !is_of_own_page(q)) {
      r.status(403).write("not for other sites' pages\n");
    } else {
      h(q, r);
    }
  };
}

}  // namespace web
