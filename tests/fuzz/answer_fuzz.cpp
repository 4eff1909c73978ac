// What a server answers, whole and in pieces of any size: never a crash, and the same answer either way. For libFuzzer.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <gofer/http_client.hpp>

#include "http/answer_parser.hpp"

namespace {

using gofer::http::answer;
using gofer::http::answer_parser;
using gofer::http::client_options;
using gofer::http::client_request;

constexpr std::size_t max_header = 2048;
constexpr std::size_t max_body = 4096;

std::string summary(const answer& a, const answer_parser& parser) {
  std::string all = std::to_string(a.status()) + (parser.keep_alive() ? " keep" : " close");
  for (const auto& [name, value] : a.headers()) all += '\n' + name + ": " + value;
  return all + "\n\n" + a.body();
}

/// Reads one answer, as a client does, up to the end of what comes. Empty: it cannot be read.
template <class NextPiece>
std::string read(std::string_view bytes, NextPiece next_piece) {
  const client_request request{.url = "http://example.test/"};
  const client_options options{.max_header_bytes = max_header, .max_body_bytes = max_body};
  std::string unread;
  answer got;
  try {
    for (;;) {
      answer_parser parser(got, request, options);
      while (!parser.complete()) {
        const std::size_t taken = parser.take(unread);
        if (taken > unread.size()) std::abort();
        unread.erase(0, taken);
        if (parser.complete()) break;
        if (taken != 0 && !unread.empty()) continue;
        if (unread.size() > 2 * max_header) std::abort();
        if (bytes.empty()) {
          parser.take_end();
          continue;
        }
        const std::size_t size = std::min({bytes.size(), next_piece(), max_header});
        unread += bytes.substr(0, size);
        bytes.remove_prefix(size);
      }
      if (got.body().size() > max_body) std::abort();
      if (got.status() >= 200) return summary(got, parser);
    }
  } catch (const gofer::http::bad_answer&) {
    return "";
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = read(bytes, [&] { return size; });
  const std::string bytewise = read(bytes, [] { return std::size_t{1}; });
  std::size_t sum = 0;
  const std::string in_pieces = read(bytes, [&] { return 1 + (sum = sum * 31 + size) % 7; });
  if (whole == bytewise && whole == in_pieces) return 0;
  std::fprintf(stderr, "--- whole\n%s\n--- bytewise\n%s\n--- in pieces\n%s\n", whole.c_str(), bytewise.c_str(),
               in_pieces.c_str());
  std::abort();
}
