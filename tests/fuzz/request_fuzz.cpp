// What a client sends, whole and in pieces of any size: never a crash, and the same requests either way. For libFuzzer.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <gofer/http.hpp>

#include "http/request_parser.hpp"

namespace {

using gofer::http::refusal;
using gofer::http::request;
using gofer::http::request_parser;

constexpr std::size_t max_header = 2048;
constexpr std::size_t max_body = 4096;

struct outcome {
  std::vector<std::string> requests;
  int refused = 0;  // with which status; of several reasons any may come first
  bool operator==(const outcome& o) const { return requests == o.requests && (refused == 0) == (o.refused == 0); }
};

std::string summary(const request& q, const request_parser& parser) {
  std::string all = q.method() + ' ' + q.target() + ' ' + q.path() + (parser.keep_alive() ? " keep" : " close");
  for (const auto& [name, value] : q.headers()) all += '\n' + name + ": " + value;
  return all + "\n\n" + q.body();
}

/// Reads requests until there is no more, as a session does: gets pieces, and gives back what was not taken.
template <class NextPiece>
outcome read_all(std::string_view bytes, NextPiece next_piece) {
  outcome seen;
  std::string unread;
  while (!bytes.empty() || !unread.empty()) {
    request q;
    request_parser parser(q, max_header);
    bool limited = false;
    for (;;) {
      refusal why;
      const std::size_t taken = parser.take(unread, why);
      if (taken > unread.size()) std::abort();
      unread.erase(0, taken);
      if (!why && !limited && parser.has_head()) {
        limited = true;
        why = parser.limit_body(max_body);
      }
      if (why) {
        seen.refused = why.status;
        return seen;
      }
      if (parser.complete()) break;
      if (taken != 0 && !unread.empty()) continue;
      if (bytes.empty()) return seen;
      const std::size_t size = std::min(bytes.size(), next_piece());
      unread += bytes.substr(0, size);
      bytes.remove_prefix(size);
    }
    if (q.body().size() > max_body) std::abort();
    seen.requests.push_back(summary(q, parser));
    if (!parser.keep_alive()) return seen;
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const outcome whole = read_all(bytes, [&] { return size; });
  const outcome bytewise = read_all(bytes, [] { return std::size_t{1}; });
  std::size_t sum = 0;
  const outcome in_pieces = read_all(bytes, [&] { return 1 + (sum = sum * 31 + size) % 7; });
  if (whole == bytewise && whole == in_pieces) return 0;
  for (const outcome& o : {whole, bytewise, in_pieces}) {
    std::fprintf(stderr, "--- %zu requests, refused with %d\n", o.requests.size(), o.refused);
    for (const std::string& r : o.requests) std::fprintf(stderr, "%s\n", r.c_str());
  }
  std::abort();
}
