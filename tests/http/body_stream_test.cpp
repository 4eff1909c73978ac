// Bodies that handlers read part by part.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>

#include <gofer/gofer.hpp>
#include <gofer/http.hpp>

#include "support/callers.hpp"
#include "support/http_client.hpp"

namespace {

using namespace std::chrono_literals;
using gofer::http::request;
using gofer::http::response;
using gofer::http::server;
using gofer::http::server_options;
using test::get;
using test::http_client;

std::string upload(std::string_view path, std::string_view fields, std::string_view body = "") {
  return "PUT " + std::string(path) + " HTTP/1.1\r\nHost: test\r\n" + std::string(fields) + "\r\n" + std::string(body);
}
std::string sized(std::size_t length) { return "Content-Length: " + std::to_string(length) + "\r\n"; }
constexpr auto chunked = "Transfer-Encoding: chunked\r\n";

class BodyStream : public testing::Test {
 protected:
  BodyStream() { start({}); }

  void start(server_options options) {
    options.address = "127.0.0.1:0";
    server_.emplace(options);
    server& s = *server_;
    const gofer::http::route_options streamed{.stream_body = true, .max_body_bytes = std::size_t{1} << 30};
    s.handle("PUT /sum", [](request& q, response& r) { sum(q, r); }, streamed);
    s.handle("PUT /small", [](request& q, response& r) { sum(q, r); }, {.stream_body = true, .max_body_bytes = 10});
    s.handle("PUT /whole", [](request& q, response& r) { sum(q, r); });
    s.handle(
        "PUT /gate",
        [this](request& q, response& r) {
          ++at_gate_;
          (void)gate_.receive();
          sum(q, r);
        },
        streamed);
    s.handle("PUT /ignore", [](request&, response& r) { r.write("ignored"); }, streamed);
    s.handle(
        "PUT /watched",
        [this](request& q, response& r) {
          const std::stop_token token = q.token();
          std::string all;
          for (std::string_view part; !(part = q.read_body()).empty();) all += part;
          ++at_gate_;
          if (all == "stay") {
            (void)gate_.receive();
            r.write(token.stop_requested() ? "gone" : "there");
          } else {
            gofer::select(gofer::on_stop(token));
            ++heard_;
          }
        },
        streamed);
    s.handle(
        "PUT /broken",
        [this](request& q, response&) {
          const std::stop_token token = q.token();
          try {
            while (!q.read_body().empty()) {
            }
          } catch (const std::system_error& e) {
            EXPECT_EQ(e.code(), std::errc::connection_reset);
            EXPECT_TRUE(token.stop_requested());
            ++heard_;
            throw;
          }
        },
        streamed);
    s.handle(
        "PUT /back",
        [](request& q, response& r) {
          r.flush();
          for (std::string_view part; !(part = q.read_body()).empty();) r.write(part);
        },
        streamed);
    s.handle("GET /hello", [](request&, response& r) { r.write("hello"); });
    s.start();
  }

  static void sum(request& q, response& r) {
    std::uint64_t bytes = 0;
    std::uint64_t total = 0;
    for (std::string_view part; !(part = q.read_body()).empty();) {
      bytes += part.size();
      for (const char c : part) total += static_cast<unsigned char>(c);
    }
    EXPECT_EQ(q.read_body(), "");
    r.write(std::to_string(bytes) + " " + std::to_string(total));
  }

  http_client client() { return http_client(server_->address()); }

  std::atomic<int> at_gate_{0};
  std::atomic<int> heard_{0};
  gofer::chan<int> gate_{1000};
  std::optional<server> server_;
};

TEST_F(BodyStream, AnUploadIsReadPartByPartAndTheNextRequestFollows) {
  auto c = client();
  c.send(upload("/sum", sized(5), "\1\2\3\4\5") + get("/hello") +
         upload("/sum", chunked, "2\r\n\1\2\r\n1\r\n\3\r\n0\r\n\r\n") + upload("/sum", sized(0)) +
         upload("/whole", sized(2), "\1\2") + get("/hello"));
  EXPECT_EQ(c.receive()->body, "5 15");
  EXPECT_EQ(c.receive()->body, "hello");
  EXPECT_EQ(c.receive()->body, "3 6");
  EXPECT_EQ(c.receive()->body, "0 0");
  EXPECT_EQ(c.receive()->body, "2 3");
  EXPECT_EQ(c.receive()->body, "hello");
  EXPECT_EQ(server_->stats().accepted, 1U);
}

TEST_F(BodyStream, AnUploadByteByByteIsTheSame) {
  auto c = client();
  c.send_byte_by_byte(upload("/sum", chunked, "2\r\n\1\2\r\n1;x=y\r\n\3\r\n0\r\nTrailer: t\r\n\r\n") +
                      upload("/sum", sized(3), "\1\2\3") + get("/hello"));
  EXPECT_EQ(c.receive()->body, "3 6");
  EXPECT_EQ(c.receive()->body, "3 6");
  EXPECT_EQ(c.receive()->body, "hello");
}

TEST_F(BodyStream, WhatAHandlerDoesNotReadItsClientCannotSend) {
  constexpr std::size_t all = std::size_t{64} << 20;
  auto c = client();
  std::atomic<std::size_t> sent{0};
  gofer::wait_group sending;
  sending.go([&] {
    c.send(upload("/gate", sized(all)));
    const std::string part(std::size_t{1} << 16, '\1');
    for (; sent != all; sent += part.size()) c.send(part);
  });
  while (at_gate_ == 0) gofer::sleep_for(1ms);
  for (std::size_t before = all; before != sent;) {  // until it has come to a stop
    before = sent;
    gofer::sleep_for(100ms);
  }
  EXPECT_LT(sent, all / 2) << "more than the system's buffers hold";
  gate_.send(1);
  const auto a = c.receive();
  sending.wait();
  EXPECT_EQ(a->body, std::to_string(all) + " " + std::to_string(all));
  EXPECT_EQ(a->head.find("Connection: close"), std::string::npos);
}

TEST_F(BodyStream, TheLimitIsTheRoutes) {
  auto c = client();
  EXPECT_EQ(c.ask(upload("/small", sized(10), "0123456789"))->status, 200);
  for (const std::string& large : {upload("/small", sized(11), "0123456789a"), upload("/small", sized(1U << 31)),
                                   upload("/small", chunked, "6\r\n012345\r\n5\r\n")}) {
    auto refused = client();
    const auto a = refused.ask(large);
    EXPECT_EQ(a->status, 413) << large;
    EXPECT_NE(a->head.find("Connection: close"), std::string::npos);
    EXPECT_EQ(refused.rest(), "");
  }
  EXPECT_EQ(server_->stats().refused, 3U);
  const std::string more_than_the_server_takes((std::size_t{1} << 20) + 1, 'x');
  EXPECT_EQ(client().ask(upload("/whole", sized(more_than_the_server_takes.size())))->status, 413);
  EXPECT_EQ(client().ask(upload("/sum", sized(more_than_the_server_takes.size()), more_than_the_server_takes))->status,
            200);
}

TEST_F(BodyStream, WhatIsNoBodyIsRefusedOnceItIsRead) {
  for (const std::string wrong : {"x\r\n", "3\r\nabcd\r\n", "1\r\na\r\n0\r\nHost: late\r\n\r\n"}) {
    auto c = client();
    EXPECT_EQ(c.ask(upload("/sum", chunked, wrong))->status, 400) << wrong;
    EXPECT_EQ(c.rest(), "");
  }
}

TEST_F(BodyStream, AnUploadThatStopsIs408) {
  server_options quick;
  quick.read_timeout = 30ms;
  start(quick);
  auto c = client();
  EXPECT_EQ(c.ask(upload("/sum", sized(10), "abc"))->status, 408);
  EXPECT_EQ(c.rest(), "");
}

TEST_F(BodyStream, AHandlerHearsThatItsClientIsGone) {
  testing::internal::CaptureStderr();
  {
    auto c = client();
    c.send(upload("/broken", sized(10), "abc"));
  }
  while (heard_ == 0 || server_->stats().connections != 0) gofer::sleep_for(1ms);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "") << "that is not the handler's fault";
}

TEST_F(BodyStream, WhatIsNotReadEndsTheConnection) {
  auto c = client();
  const auto a = c.ask(upload("/ignore", sized(100'000), std::string(50'000, 'x')));
  EXPECT_EQ(a->body, "ignored");
  EXPECT_NE(a->head.find("Connection: close"), std::string::npos);
  EXPECT_EQ(c.rest(), "");
  EXPECT_FALSE(c.error()) << c.error();
}

TEST_F(BodyStream, TheBodyIsAskedForWhenItIsWanted) {
  auto wanted = client();
  wanted.send(upload("/gate", "Expect: 100-continue\r\n" + sized(3)));
  while (at_gate_ == 0) gofer::sleep_for(1ms);
  gate_.send(1);
  EXPECT_EQ(wanted.receive()->status, 100);
  EXPECT_EQ(wanted.ask("\1\1\1")->body, "3 3");
  EXPECT_EQ(wanted.ask(get("/hello"))->body, "hello");
  auto unwanted = client();
  EXPECT_EQ(unwanted.ask(upload("/ignore", "Expect: 100-continue\r\n" + sized(3)))->body, "ignored");
  EXPECT_EQ(unwanted.rest(), "");
  auto late = client();  // the answer has begun when the body is asked for
  EXPECT_EQ(late.ask(upload("/back", "Expect: 100-continue\r\n" + sized(3)))->status, 200);
}

TEST_F(BodyStream, TheClientIsWatchedOnceItsBodyIsThere) {
  auto c = client();
  c.send(upload("/watched", sized(4), "st"));
  gofer::sleep_for(5ms);
  c.send("ay" + get("/hello"));
  gate_.send(1);
  EXPECT_EQ(c.receive()->body, "there");
  EXPECT_EQ(c.receive()->body, "hello");
  {
    auto leaving = client();
    leaving.send(upload("/watched", sized(5), "leave"));
    while (at_gate_ != 2) gofer::sleep_for(1ms);
  }
  while (heard_ == 0) gofer::sleep_for(1ms);
}

TEST_F(BodyStream, AnAnswerMayBeginBeforeTheBodyEnds) {
  auto c = client();
  c.send(upload("/back", sized(6), "abc"));
  const auto a = c.receive(false);
  EXPECT_EQ(a->status, 200);
  EXPECT_NE(a->head.find("Connection: close"), std::string::npos);
  c.send("def");
  const std::string body = c.rest();
  EXPECT_THAT(body, testing::AnyOf("3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", "6\r\nabcdef\r\n0\r\n\r\n"));
}

TEST_F(BodyStream, HandlersInAPoolReadBodiesToo) {
  server_options pooled;
  pooled.workers = 2;
  start(pooled);
  const std::string body(300'000, '\1');
  gofer::wait_group clients;
  for (int i = 0; i < 8; ++i) {
    clients.go([&] {
      auto c = client();
      for (int k = 0; k < 3; ++k) EXPECT_EQ(c.ask(upload("/sum", sized(body.size()), body))->body, "300000 300000");
    });
  }
  clients.wait();
}

TEST_F(BodyStream, StressUploadsOfAllSizesArriveWhole) {
  gofer::wait_group clients;
  for (int i = 0; i < 8; ++i) {
    clients.go([&, i] {
      auto c = client();
      for (int k = 0; k < test::times(200); ++k) {
        const std::size_t length = static_cast<std::size_t>(k * 7919 + i * 104729) % 200'000;
        std::string framed;
        if (k % 2 == 0) {
          framed = upload("/sum", sized(length), std::string(length, '\1'));
        } else {
          framed = upload("/sum", chunked);
          for (std::size_t left = length; left != 0;) {
            const std::size_t part = std::min<std::size_t>(left, 1 + left / 3);
            char size[24];
            std::snprintf(size, sizeof(size), "%zx\r\n", part);
            ((framed += size) += std::string(part, '\1')) += "\r\n";
            left -= part;
          }
          framed += "0\r\n\r\n";
        }
        ASSERT_EQ(c.ask(framed)->body, std::to_string(length) + " " + std::to_string(length));
      }
    });
  }
  clients.wait();
}

}  // namespace
