#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <string>
#include <string_view>

#include <gofer/http_client.hpp>

#include "http/chunk_heads.hpp"

namespace gofer::inline v0::http {

/// Reads one answer, on Boost.Beast's parser. Throws bad_answer.
class answer_parser final : private boost::beast::http::basic_parser<false> {
  using base = boost::beast::http::basic_parser<false>;

 public:
  answer_parser(answer& into, const client_request& request, const client_options& options);

  /// Takes what it can of `bytes`; returns how many. The rest has to be given again, with more behind it.
  std::size_t take(std::string_view bytes);
  /// No more bytes will come.
  void take_end();

  bool complete() const { return base::is_done(); }
  bool has_head() const { return base::is_header_done(); }
  bool keep_alive() const { return base::keep_alive(); }

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

  void take_body(string_view part);
  [[noreturn]] void refuse(const std::string& why) const;

  answer& answer_;
  const client_request& request_;
  const std::size_t most_unread_;
  chunk_heads heads_;
};

}  // namespace gofer::inline v0::http
