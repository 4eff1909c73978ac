#include "http/request_parser.hpp"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>

namespace gofer::http {
namespace {

using boost::beast::http::error;

constexpr std::size_t most_fields = 100;

refusal explain(const boost::beast::error_code& ec) {
  if (ec == error::header_limit) return {.status = 431, .why = "the request's head is too large"};
  if (ec == error::body_limit) return {.status = 413, .why = "the request's body is too large"};
  if (ec == error::bad_version) return {.status = 505, .why = "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  if (ec == error::bad_transfer_encoding) return {.status = 400, .why = "the request's transfer coding is wrong"};
  if (ec == error::bad_content_length || ec == error::multiple_content_length) {
    return {.status = 400, .why = "the request's Content-Length is wrong"};
  }
  if (ec == error::bad_chunk || ec == error::bad_chunk_extension) {
    return {.status = 400, .why = "a chunk of the request's body is wrong"};
  }
  return {.status = 400, .why = "this is not an HTTP request"};
}

}  // namespace

request_parser::request_parser(request& into, std::size_t max_header_bytes, std::size_t max_body_bytes)
    : request_(into) {
  base::header_limit(static_cast<std::uint32_t>(max_header_bytes));
  base::body_limit(max_body_bytes);
  into.body_.clear();
  into.fields_.clear();
}

std::size_t request_parser::take(std::string_view bytes, refusal& why) {
  error_code ec;
  const std::size_t taken = base::put({bytes.data(), bytes.size()}, ec);
  if (!ec || ec == error::need_more) return taken;
  why = refused_ ? refused_ : explain(ec);
  return taken;
}

void request_parser::refuse(int status, const char* why, error_code& ec) {
  refused_ = {.status = status, .why = why};
  ec = error::bad_value;
}

void request_parser::on_request_impl(verb /*v*/, string_view method, string_view target, int version, error_code& ec) {
  request_.method_.assign(method.data(), method.size());
  request_.target_.assign(target.data(), target.size());
  http_1_0_ = version == 10;
  if (target.find('#') != string_view::npos) refuse(400, "the request's target has a fragment", ec);
}

void request_parser::on_response_impl(int /*code*/, string_view /*reason*/, int /*version*/, error_code& /*ec*/) {}

void request_parser::on_field_impl(field f, string_view name, string_view value, error_code& ec) {
  if (has_head()) return;  // a trailer: nothing here depends on one
  if (request_.fields_.size() == most_fields) return refuse(431, "the request has too many header fields", ec);
  request_.fields_.emplace_back(std::piecewise_construct, std::forward_as_tuple(name.data(), name.size()),
                                std::forward_as_tuple(value.data(), value.size()));
  if (f == field::host) ++hosts_;
  if (f == field::expect) {
    if (!boost::beast::iequals(value, "100-continue")) return refuse(417, "only 100-continue can be expected", ec);
    expects_continue_ = !http_1_0_;
  }
}

void request_parser::on_header_impl(error_code& ec) {
  if (hosts_ > 1 || (hosts_ == 0 && !http_1_0_)) refuse(400, "the request has to have one Host field", ec);
}

void request_parser::on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code& /*ec*/) {
  constexpr std::uint64_t most_on_trust = 65536;  // what a client announces it may never send
  if (length) request_.body_.reserve(static_cast<std::size_t>(std::min(*length, most_on_trust)));
}

std::size_t request_parser::on_body_impl(string_view body, error_code& /*ec*/) {
  request_.body_.append(body.data(), body.size());
  return body.size();
}

void request_parser::on_chunk_header_impl(std::uint64_t /*size*/, string_view /*extensions*/, error_code& /*ec*/) {}

std::size_t request_parser::on_chunk_body_impl(std::uint64_t /*left*/, string_view body, error_code& /*ec*/) {
  request_.body_.append(body.data(), body.size());
  return body.size();
}

void request_parser::on_finish_impl(error_code& /*ec*/) {}

}  // namespace gofer::http
