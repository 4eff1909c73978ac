#include "http/request_parser.hpp"

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <functional>
#include <limits>
#include <utility>

#include "http/characters.hpp"
#include "http/target.hpp"

namespace gofer::inline v0::http {
namespace {

using boost::beast::http::error;

constexpr std::size_t most_fields = 100;

constexpr refusal too_large{.status = 413, .why = "the request's body is too large"};
constexpr refusal wrong_chunk{.status = 400, .why = "a chunk of the request's body is wrong"};

refusal explain(const boost::beast::error_code& ec) {
  if (ec == error::bad_version) return {.status = 505, .why = "only HTTP/1.1 and HTTP/1.0 are spoken here"};
  if (ec == error::bad_transfer_encoding) return {.status = 400, .why = "the request's transfer coding is wrong"};
  if (ec == error::bad_content_length || ec == error::multiple_content_length) {
    return {.status = 400, .why = "the request's Content-Length is wrong"};
  }
  if (ec == error::bad_chunk || ec == error::bad_chunk_extension) return wrong_chunk;
  return {.status = 400, .why = "this is not an HTTP request"};
}

}  // namespace

request_parser::request_parser(request& into, std::size_t max_header_bytes)
    : request_(into), head_(max_header_bytes), most_surplus_(max_header_bytes) {
  base::header_limit(std::numeric_limits<std::uint32_t>::max());  // head_ sees to that
  base::body_limit(boost::none);                                  // limit_body says later
  for (std::string* each : {&into.method_, &into.target_, &into.path_, &into.pattern_, &into.body_, &into.id_})
    each->clear();
  into.body_read_ = false;
  for (field_list* each : {&into.fields_, &into.query_, &into.path_values_}) each->clear();
}

std::size_t request_parser::take(std::string_view bytes, refusal& why) {
  std::size_t skipped = 0;
  if (!begun_) {  // empty lines, which some clients send after a body
    while (bytes.substr(skipped).starts_with("\r\n")) skipped += 2;
    if (bytes.size() == skipped || bytes.substr(skipped) == "\r") return skipped;
    begun_ = true;
  }
  const std::string_view rest = bytes.substr(skipped);
  if (!has_head()) {
    why = head_.look(rest);
    if (why || !head_.ended()) return skipped;
  }
  if (const auto next = heads_.at(rest); next != chunk_heads::look::right) {
    if (next == chunk_heads::look::wrong) why = wrong_chunk;
    return skipped;
  }
  input_ = rest;
  error_code ec;
  const std::size_t taken = base::put({rest.data(), rest.size()}, ec);
  if (ec && ec != error::need_more) why = refused_ ? refused_ : explain(ec);
  return skipped + taken;
}

void request_parser::refuse(int status, const char* why, error_code& ec) {
  refused_ = {.status = status, .why = why};
  ec = error::bad_value;
}

void request_parser::on_request_impl(verb v, string_view method, string_view text, int version, error_code& ec) {
  request_.method_.assign(method.data(), method.size());
  request_.target_.assign(text.data(), text.size());
  http_1_0_ = version == 10;
  if (v == verb::connect) return refuse(501, "this server is no proxy", ec);
  if (v == verb::options && text == "*") {
    request_.path_ = "*";
    return;
  }
  auto where = http::parse_target(request_.target_);
  if (!where) return refuse(400, "the request's target is neither a path nor an address with one", ec);
  request_.path_ = where->path();
  request_.query_ = std::move(where->query);
  segments_ = std::move(where->segments);
}

void request_parser::on_response_impl(int /*code*/, string_view /*reason*/, int /*version*/, error_code& /*ec*/) {}

void request_parser::on_field_impl(field f, string_view name, string_view value, error_code& ec) {
  if (was_folded(name, value)) return refuse(400, "a header field is folded over several lines", ec);
  if (has_head()) return take_trailer(f, name.size() + value.size(), ec);
  if (request_.fields_.size() == most_fields) return refuse(431, "the request has too many header fields", ec);
  request_.fields_.emplace_back(std::piecewise_construct, std::forward_as_tuple(name.data(), name.size()),
                                std::forward_as_tuple(value.data(), value.size()));
  switch (f) {
    case field::host:
      ++hosts_;
      if (!is_authority({value.data(), value.size()})) refuse(400, "the request's Host is not one", ec);
      break;
    case field::content_length:
      ++lengths_;
      if (value.empty() || value.find_first_not_of("0123456789") != string_view::npos) {
        refuse(400, "the request's Content-Length is wrong", ec);
      }
      break;
    case field::transfer_encoding:
      ++codings_;
      coding_.assign(value.data(), value.size());
      break;
    case field::expect:
      if (!boost::beast::iequals(value, "100-continue")) return refuse(417, "only 100-continue can be expected", ec);
      expects_continue_ = !http_1_0_;
      break;
    default:
      break;
  }
}

/// Nothing here depends on one; but what tells where a message ends, or whose it is, must not come that late (RFC 9110,
/// section 6.5.1).
void request_parser::take_trailer(field f, std::size_t size, error_code& ec) {
  count_surplus(size, ec);
  switch (f) {
    case field::host:
    case field::content_length:
    case field::transfer_encoding:
    case field::connection:
    case field::upgrade:
    case field::expect:
    case field::authorization:
    case field::cookie:
      return refuse(400, "a trailer has a field that belongs into the head", ec);
    default:
      return;
  }
}

/// The parser joins the lines of a folded value, and cannot do so in place unless all of it is on one.
bool request_parser::was_folded(string_view name, string_view value) const noexcept {
  if (value.empty()) return false;  // of an empty one nothing can be read in another way
  const std::less<> before;
  const char* end_of_name = name.data() + name.size();
  if (before(value.data(), end_of_name) || !before(value.data(), input_.data() + input_.size())) return true;
  return std::find(end_of_name, value.data(), '\n') != value.data();
}

void request_parser::on_header_impl(error_code& ec) {
  if (hosts_ > 1 || (hosts_ == 0 && !http_1_0_)) return refuse(400, "the request has to have one Host field", ec);
  if (lengths_ > 1) return refuse(400, "the request has more than one Content-Length", ec);
  if (codings_ != 0) check_transfer_coding(ec);
}

void request_parser::check_transfer_coding(error_code& ec) {
  constexpr auto wrong = "the request's transfer coding is wrong";
  if (lengths_ != 0) return refuse(400, "the request has both Content-Length and Transfer-Encoding", ec);
  if (http_1_0_ || codings_ > 1 || coding_.empty()) return refuse(400, wrong, ec);
  if (boost::beast::iequals(coding_, "chunked")) {
    heads_.begin();
    return;
  }
  // Chunked more than once, or not last, can be read in more than one way.
  const auto last = coding_.rfind(',');
  if (last != std::string::npos && boost::beast::http::token_list(coding_.substr(0, last)).exists("chunked")) {
    return refuse(400, wrong, ec);
  }
  refuse(501, "of the transfer codings only chunked is known here", ec);
}

void request_parser::on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code& /*ec*/) {
  constexpr std::uint64_t most_on_trust = 65536;  // what a client announces it may never send
  if (length) request_.body_.reserve(static_cast<std::size_t>(std::min(*length, most_on_trust)));
}

refusal request_parser::limit_body(std::size_t most) {
  most_body_ = most;
  return base::content_length().value_or(0) > most ? too_large : refusal{};
}

/// False, and refused, if the body would get larger than is allowed.
bool request_parser::check_body(std::uint64_t more, error_code& ec) {
  const bool right = more <= most_body_ - std::min(body_, most_body_);
  if (!right) refuse(too_large.status, too_large.why, ec);
  return right;
}

std::size_t request_parser::take_body(string_view part, error_code& ec) {
  if (!check_body(part.size(), ec)) return 0;
  body_ += part.size();
  request_.body_.append(part.data(), part.size());
  return part.size();
}

std::size_t request_parser::on_body_impl(string_view body, error_code& ec) { return take_body(body, ec); }

void request_parser::on_chunk_header_impl(std::uint64_t size, string_view extensions, error_code& ec) {
  heads_.head_read();
  if (check_body(size, ec)) count_surplus(extensions.size(), ec);
}

/// Bounds what comes with a body and is not of it.
void request_parser::count_surplus(std::size_t size, error_code& ec) {
  surplus_ += size;
  if (surplus_ > most_surplus_) refuse(400, "the extensions of chunks, or the trailers, are too large", ec);
}

std::size_t request_parser::on_chunk_body_impl(std::uint64_t left, string_view body, error_code& ec) {
  heads_.chunk_read(left == body.size());
  return take_body(body, ec);
}

void request_parser::on_finish_impl(error_code& /*ec*/) {}

}  // namespace gofer::inline v0::http
