#include "http/answer_parser.hpp"

#include <algorithm>
#include <boost/beast/http/error.hpp>
#include <limits>

namespace gofer::inline v0::http {

using boost::beast::http::error;

answer_parser::answer_parser(answer& into, const client_request& request, const client_options& options)
    : answer_(into), request_(request), most_unread_(options.max_header_bytes) {
  constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max();
  base::header_limit(static_cast<std::uint32_t>(std::min(options.max_header_bytes, most)));
  base::body_limit(request.on_body ? std::numeric_limits<std::uint64_t>::max() : options.max_body_bytes);
  base::skip(request.method == "HEAD");
  into = answer();
}

std::size_t answer_parser::take(std::string_view bytes) {
  const auto next = heads_.at(bytes);
  if (next == chunk_heads::look::wrong) refuse("cannot be read: a chunk of it is wrong");
  std::size_t taken = 0;
  if (next == chunk_heads::look::right) {
    error_code ec;
    taken = base::put({bytes.data(), bytes.size()}, ec);
    if (ec && ec != error::need_more) refuse("cannot be read: " + ec.message());
  }
  if (taken == 0 && bytes.size() > most_unread_) {
    refuse("has a chunk's head, or trailers, of more than " + std::to_string(most_unread_) + " bytes");
  }
  return taken;
}

void answer_parser::take_end() {
  constexpr auto cut_off = "is not whole";
  if (!base::got_some()) refuse(cut_off);
  error_code ec;
  base::put_eof(ec);
  if (ec) refuse(cut_off);
}

void answer_parser::refuse(const std::string& why) const {
  throw bad_answer("http::client: the answer of " + request_.url + " " + why);
}

void answer_parser::on_request_impl(verb /*v*/, string_view /*method*/, string_view /*target*/, int /*version*/,
                                    error_code& /*ec*/) {}

void answer_parser::on_response_impl(int code, string_view /*reason*/, int /*version*/, error_code& /*ec*/) {
  answer_.status_ = code;
}

void answer_parser::on_field_impl(field /*f*/, string_view name, string_view value, error_code& /*ec*/) {
  answer_.fields_.emplace_back(std::piecewise_construct, std::forward_as_tuple(name.data(), name.size()),
                               std::forward_as_tuple(value.data(), value.size()));
}

void answer_parser::on_header_impl(error_code& /*ec*/) {
  if (base::chunked()) heads_.begin();
}

void answer_parser::on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/, error_code& /*ec*/) {}

std::size_t answer_parser::on_body_impl(string_view body, error_code& /*ec*/) {
  take_body(body);
  return body.size();
}

void answer_parser::on_chunk_header_impl(std::uint64_t /*size*/, string_view /*extensions*/, error_code& /*ec*/) {
  heads_.head_read();
}

std::size_t answer_parser::on_chunk_body_impl(std::uint64_t left, string_view body, error_code& /*ec*/) {
  heads_.chunk_read(left == body.size());
  take_body(body);
  return body.size();
}

void answer_parser::on_finish_impl(error_code& /*ec*/) {}

void answer_parser::take_body(string_view part) {
  if (request_.on_body) {
    request_.on_body({part.data(), part.size()});
  } else {
    answer_.body_.append(part.data(), part.size());
  }
}

}  // namespace gofer::inline v0::http
