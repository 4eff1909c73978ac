#pragma once

// A client that sends what it is told, byte for byte, and reads answers; for tests of what a server makes of it.

#include <charconv>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <gofer/go.hpp>
#include <gofer/net.hpp>

namespace test {

struct http_answer {
  int status = 0;
  std::string head;
  std::string body;
};

class http_client {
 public:
  explicit http_client(const std::string& address) : connection_(gofer::net::dial(address, std::chrono::seconds(20))) {
    connection_.set_deadline(std::chrono::steady_clock::now() + std::chrono::seconds(60));
  }

  void send(std::string_view bytes) { connection_.write(std::as_bytes(std::span(bytes))); }

  /// So that each byte is likely to be read by itself.
  void send_byte_by_byte(std::string_view bytes) {
    for (const char byte : bytes) {
      send(std::string_view(&byte, 1));
      gofer::yield();
    }
  }

  /// The next answer with a Content-Length, or one without a body; nothing at the end of the connection or after a
  /// reset.
  std::optional<http_answer> receive(bool has_body = true) {
    http_answer a;
    std::size_t end = 0;
    while ((end = unread_.find("\r\n\r\n")) == std::string::npos) {
      if (!read_more()) return std::nullopt;
    }
    a.head = unread_.substr(0, end + 2);
    unread_.erase(0, end + 4);
    std::from_chars(a.head.data() + 9, a.head.data() + 12, a.status);
    std::size_t length = 0;
    if (const auto at = a.head.find("Content-Length: "); has_body && at != std::string::npos) {
      std::from_chars(a.head.data() + at + 16, a.head.data() + a.head.size(), length);
    }
    while (unread_.size() < length) {
      if (!read_more()) return std::nullopt;
    }
    a.body = unread_.substr(0, length);
    unread_.erase(0, length);
    return a;
  }

  std::optional<http_answer> ask(std::string_view bytes) {
    send(bytes);
    return receive();
  }

  /// All that comes until the end of the connection.
  std::string rest() {
    while (read_more()) {
    }
    return std::exchange(unread_, {});
  }

  /// How the connection ended: no error if the server closed it in good order.
  std::error_code error() const noexcept { return error_; }

  gofer::net::connection& connection() noexcept { return connection_; }

 private:
  bool read_more() {
    char part[4096];
    const std::size_t got = connection_.read_some(std::as_writable_bytes(std::span(part)), error_);
    unread_.append(part, got);
    return got != 0;
  }

  gofer::net::connection connection_;
  std::string unread_;
  std::error_code error_;
};

inline std::string get(std::string_view path, std::string_view fields = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(fields) + "\r\n";
}

}  // namespace test
