#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>

#include <gofer/http.hpp>

/// HTTP/1.1 clients that block the calling fiber alone.
///
///     gofer::http::client client;
///     const auto page = client.get("http://127.0.0.1:8080/hello/x");
///     if (page.status() == 200) std::printf("%s", page.body().c_str());
namespace gofer::inline v0::http {

class client_core;
class answer_parser;

/// What a server answered.
class answer {
 public:
  /// 200 and the like.
  int status() const noexcept { return status_; }
  /// The first field of that name, whatever its case; empty if there is none.
  const std::string& header(std::string_view name) const noexcept;
  const field_list& headers() const noexcept { return fields_; }
  /// Empty if it was streamed.
  const std::string& body() const noexcept { return body_; }

 private:
  friend class client_core;
  friend class answer_parser;

  int status_ = 0;
  field_list fields_;
  std::string body_;
};

/// What to ask.
struct client_request {
  /// In capitals. Answers to HEAD have no body; CONNECT, which is for proxies, cannot be asked.
  std::string method = "GET";
  /// "http://host:port/path?query" or "https://..."; without a port 80, or 443.
  std::string url;
  /// Host, Content-Length and Connection are the client's to set.
  field_list headers = {};
  std::string body = {};
  /// Called for every part of the body as it comes, in the caller of `send`, which reads on when it returns; what it
  /// throws ends the exchange and leaves `send`. Empty: the answer holds the body.
  std::function<void(std::string_view part)> on_body = {};
  /// The exchange ends with std::errc::operation_canceled when this is requested.
  std::stop_token stop = {};
};

/// The server's answer cannot be read as one, or is larger than what is allowed.
class bad_answer : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct client_options {
  std::chrono::nanoseconds connect_timeout = std::chrono::seconds(10);
  /// From the request's first byte until the answer's last; for one that is streamed for each part.
  std::chrono::nanoseconds timeout = std::chrono::seconds(30);
  /// Connections that are kept for the next request, to one server and in all; the longest unused ones are closed.
  std::size_t idle_per_server = 32;
  std::size_t idle_connections = 256;
  /// How long they are kept.
  std::chrono::nanoseconds idle_timeout = std::chrono::seconds(30);
  /// Whom to trust for https: a PEM file of certificates; empty: whom the system trusts. The server's has to be for the
  /// host that the URL names.
  std::string ca_file = {};
  std::size_t max_header_bytes = 65536;
  /// Of a body that is not streamed.
  std::size_t max_body_bytes = std::size_t{64} << 20;
};

/// Asks servers, over connections that are used again. Usable from many fibers and threads at once; copies share their
/// connections. Follows no redirections and keeps no cookies.
class client {
 public:
  /// Throws std::system_error if the options' ca_file cannot be used.
  explicit client(client_options options = {});

  /// Blocks until the answer has come, which may be before the server has taken all of the request. A request that can
  /// be repeated (GET, HEAD, PUT, DELETE, OPTIONS, without a body that was streamed) is sent once more if a connection
  /// that was kept turns out to have been closed meanwhile. Throws std::invalid_argument for what cannot be asked,
  /// std::system_error for the network's errors (timed_out, operation_canceled, connection_refused, ...), bad_answer.
  answer send(const client_request& request);

  /// `send` of a request with nothing but that.
  answer get(std::string url) { return send({.url = std::move(url)}); }
  answer post(std::string url, std::string body, std::string type = "application/octet-stream") {
    return send({.method = "POST",
                 .url = std::move(url),
                 .headers = {{"Content-Type", std::move(type)}},
                 .body = std::move(body)});
  }

 private:
  std::shared_ptr<client_core> core_;
};

}  // namespace gofer::inline v0::http
