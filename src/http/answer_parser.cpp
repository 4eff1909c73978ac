#include "http/answer_parser.hpp"

#include <algorithm>
#include <boost/beast/http/error.hpp>
#include <limits>

namespace gofer::inline v0::http {

using boost::beast::http::error;

answer_parser::answer_parser(answer& into, const client_request& request, const client_options& options)
    : answer_(into), request_(request) {
  constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max();
  base::header_limit(static_cast<std::uint32_t>(std::min(options.max_header_bytes, most)));
  base::body_limit(request.on_body ? std::numeric_limits<std::uint64_t>::max() : options.max_body_bytes);
  base::skip(request.method == "HEAD");
  into = answer();
}

std::size_t answer_parser::take(std::string_view bytes) {
  error_code ec;
  const std::size_t taken = base::put({bytes.data(), bytes.size()}, ec);
  if (ec && ec != error::need_more) {
    throw bad_answer("http::client: the answer of " + request_.url + " cannot be read: " + ec.message());
  }
  return taken;
}

void answer_parser::take_end() {
  error_code ec;
  base::put_eof(ec);
  if (ec) throw bad_answer("http::client: the answer of " + request_.url + " is not whole");
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

void answer_parser::on_header_impl(error_code& /*ec*/) {}

void answer_parser::on_body_init_impl(const boost::optional<std::uint64_t>& /*length*/, error_code& /*ec*/) {}

std::size_t answer_parser::on_body_impl(string_view body, error_code& /*ec*/) {
  take_body(body);
  return body.size();
}

void answer_parser::on_chunk_header_impl(std::uint64_t /*size*/, string_view /*extensions*/, error_code& /*ec*/) {}

std::size_t answer_parser::on_chunk_body_impl(std::uint64_t /*left*/, string_view body, error_code& /*ec*/) {
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
