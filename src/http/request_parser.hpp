#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gofer/http.hpp>

#include "http/chunk_heads.hpp"
#include "http/head_check.hpp"
#include "http/refusal.hpp"

namespace gofer::inline v0::http {

/// Reads one request, on Boost.Beast's parser, and refuses what that one forgives: wherever two readers of the same
/// bytes could come to different requests, there is none.
class request_parser final : private boost::beast::http::basic_parser<true> {
  using base = boost::beast::http::basic_parser<true>;

 public:
  request_parser(request& into, std::size_t max_header_bytes);

  /// Takes what it can of `bytes`; returns how many. The rest has to be given again, with more behind it. `why` is set
  /// when the request is refused.
  std::size_t take(std::string_view bytes, refusal& why);

  /// To be called once there is a head, on which the limit may depend. Refuses a body that is announced to be larger.
  refusal limit_body(std::size_t most);

  bool has_head() const { return base::is_header_done(); }
  bool complete() const { return base::is_done(); }
  /// The client waits for a word before it sends the body.
  bool expects_continue() const noexcept { return expects_continue_; }
  bool keep_alive() const { return base::keep_alive(); }
  bool http_1_0() const noexcept { return http_1_0_; }
  /// Of the target's path; empty for that of "OPTIONS *".
  const std::vector<std::string>& segments() const noexcept { return segments_; }

 private:
  using string_view = boost::beast::string_view;
  using error_code = boost::beast::error_code;
  using verb = boost::beast::http::verb;
  using field = boost::beast::http::field;

  void on_request_impl(verb v, string_view method, string_view target, int version, error_code& ec) override;
  void on_response_impl(int code, string_view reason, int version, error_code& ec) override;
  void on_field_impl(field f, string_view name, string_view value, error_code& ec) override;
  void on_header_impl(error_code& ec) override;
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code& ec) override;
  std::size_t on_body_impl(string_view body, error_code& ec) override;
  void on_chunk_header_impl(std::uint64_t size, string_view extensions, error_code& ec) override;
  std::size_t on_chunk_body_impl(std::uint64_t left, string_view body, error_code& ec) override;
  void on_finish_impl(error_code& ec) override;

  void refuse(int status, const char* why, error_code& ec);
  void take_trailer(field f, std::size_t size, error_code& ec);
  std::size_t take_body(string_view part, error_code& ec);
  bool check_body(std::uint64_t more, error_code& ec);
  void count_surplus(std::size_t size, error_code& ec);
  void check_transfer_coding(error_code& ec);
  bool was_folded(string_view name, string_view value) const noexcept;

  request& request_;
  refusal refused_;
  head_check head_;
  std::size_t most_body_ = 0;
  std::size_t body_ = 0;  // bytes so far
  const std::size_t most_surplus_;
  std::size_t surplus_ = 0;
  chunk_heads heads_;
  bool begun_ = false;      // something other than an empty line has come
  std::string_view input_;  // what the parser is looking at
  std::vector<std::string> segments_;
  std::size_t hosts_ = 0;  // fields of this name, and below
  std::size_t lengths_ = 0;
  std::size_t codings_ = 0;
  std::string coding_;  // the last Transfer-Encoding
  bool expects_continue_ = false;
  bool http_1_0_ = false;
};

}  // namespace gofer::inline v0::http
