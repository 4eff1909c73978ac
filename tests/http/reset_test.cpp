// Clients that break off, at every byte of what they send and of what they are sent.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>

#include <gofer/gofer.hpp>
#include <gofer/http.hpp>

#include "support/http_client.hpp"

namespace {

using namespace std::chrono_literals;
using gofer::http::request;
using gofer::http::response;
using gofer::http::server;

/// A client with nothing between it and the kernel, so that it can reset.
class raw_client {
 public:
  explicit raw_client(const std::string& address) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto colon = address.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1)));
    inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  }
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;
  ~raw_client() {
    if (resets_) {
      const linger now{.l_onoff = 1, .l_linger = 0};
      setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    close(fd_);
  }

  void send(std::string_view bytes) {
    EXPECT_EQ(::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL), ssize_t(bytes.size()));
  }
  /// So many bytes, or fewer at the end.
  std::string receive(std::size_t count) {
    std::string all(count, '\0');
    const ssize_t got = recv(fd_, all.data(), count, MSG_WAITALL);
    all.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return all;
  }
  void reset() { resets_ = true; }

 private:
  const int fd_;
  bool resets_ = false;
};

class Resets : public testing::Test {
 protected:
  Resets() : server_({.address = "127.0.0.1:0"}) {
    server_.handle("/whole", [](request& q, response& r) { r.write(q.body()); });
    server_.handle("/parts",
                   [](request& q, response& r) {
                     const std::stop_token token = q.token();
                     std::size_t size = 0;
                     for (std::string_view part; !(part = q.read_body()).empty();) size += part.size();
                     r.write(std::to_string(size) + (token.stop_requested() ? " gone" : ""));
                   },
                   {.stream_body = true});
    server_.handle("GET /stream", [](request& q, response& r) {
      const std::stop_token token = q.token();
      r.flush();
      for (int i = 0; i < 20 && !token.stop_requested(); ++i) r.write(std::string(10'000, 'x'));
    });
    server_.start();
  }

  void expect_all_is_over() {
    while (server_.stats().connections != 0) gofer::sleep_for(1ms);
    EXPECT_EQ(server_.stats().active, 0U);
    EXPECT_EQ(test::http_client(server_.address()).ask(test::get("/whole"))->status, 200);
  }

  server server_;
};

TEST_F(Resets, AtEveryByteOfARequest) {
  const std::string requests[] = {
      test::get("/whole"),
      "PUT /whole HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789",
      "PUT /parts HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789",
      "PUT /parts HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\n01234\r\n3;x=y\r\nabc\r\n0\r\nTrailer: t\r\n\r\n",
  };
  testing::internal::CaptureStderr();
  for (const std::string& text : requests) {
    for (std::size_t end = 0; end <= text.size(); ++end) {
      for (const bool resets : {true, false}) {
        raw_client c(server_.address());
        c.send(std::string_view(text).substr(0, end));
        if (end % 2 == 0) gofer::sleep_for(50us);  // read as far as it goes, or not yet
        if (resets) c.reset();
      }
    }
  }
  expect_all_is_over();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "that clients leave is no error of the server's";
}

TEST_F(Resets, AtEveryByteOfAnAnswer) {
  std::size_t whole = 0;
  {
    raw_client c(server_.address());
    c.send(test::get("/whole", "Connection: close\r\n"));
    whole = c.receive(10'000).size();
    ASSERT_GT(whole, 100U);
  }
  testing::internal::CaptureStderr();
  for (std::size_t end = 0; end <= whole; ++end) {
    for (const std::string_view path : {"/whole", "/stream"}) {
      raw_client c(server_.address());
      c.send(test::get(path, "Connection: close\r\n"));
      EXPECT_EQ(c.receive(end).size(), end);
      c.reset();
    }
  }
  for (std::size_t end = 1; end < 200'000; end += 9'973) {
    raw_client c(server_.address());
    c.send(test::get("/stream"));
    EXPECT_EQ(c.receive(end).size(), end);
    c.reset();
  }
  expect_all_is_over();
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
