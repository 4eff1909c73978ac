#include <gofer/http.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gofer/debug.hpp>
#include <gofer/gofer.hpp>

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

server_options on_a_free_port() { return {.address = "127.0.0.1:0"}; }

class Server : public testing::Test {
 protected:
  server& start(server_options options = on_a_free_port()) {
    options.address = "127.0.0.1:0";
    server_.emplace(options);
    server_->handle("GET /hello/{name}", [](request& q, response& r) { r.write("Hello, " + q.path_value("name")); });
    server_->handle("POST /echo", [](request& q, response& r) { r.header("Content-Type", "x/y").write(q.body()); });
    server_->handle("GET /throw", [](request&, response&) { throw std::runtime_error("handler trouble"); });
    server_->handle("GET /wait", [this](request& q, response& r) {
      ++waiting_;
      const auto stopped = [&] { ++cancelled_; };
      gofer::select(gofer::on_receive(go_on_), gofer::on_stop(q.token(), stopped));
      r.write("waited");
    });
    server_->handle("GET /stream", [](request&, response& r) {
      r.header("X-Kind", "stream");
      r.write("first,");
      r.flush();
      r.write("second,").write("third");
    });
    server_->handle("/seen/{what}", [](request& q, response& r) {
      r.write(q.method() + " " + q.target() + " " + q.path_value("what") + " " + q.query("x") + " " + q.header("X") +
              " " + q.body() + " " + q.header("X-Request-Id") + " " + std::to_string(q.headers().size()));
    });
    server_->start();
    return *server_;
  }
  http_client client() { return http_client(server_->address()); }

  std::atomic<int> waiting_{0};
  std::atomic<int> cancelled_{0};
  gofer::chan<int> go_on_{1000};
  std::optional<server> server_;
};

TEST_F(Server, AnswersWithWhatTheHandlerWrites) {
  start();
  const auto a = client().ask(get("/hello/a%20b"));
  EXPECT_EQ(a->status, 200);
  EXPECT_EQ(a->body, "Hello, a b");
  EXPECT_NE(a->head.find("Content-Type: text/plain; charset=utf-8\r\n"), std::string::npos);
  EXPECT_NE(a->head.find("Date: "), std::string::npos);
}

TEST_F(Server, AFieldIsSentOnceHoweverItIsWrittenAndCookiesAreSentAll) {
  server_.emplace(on_a_free_port());
  server_->handle("GET /", [](request&, response& r) {
    r.header("content-TYPE", "x/y").header("Content-type", "x/z").header("DATE", "today");
    r.header("Set-Cookie", "a=1").header("set-cookie", "b=2");
  });
  server_->start();
  const std::string head = client().ask(get("/"))->head;
  EXPECT_NE(head.find("\r\ncontent-TYPE: x/z\r\n"), std::string::npos) << head;
  EXPECT_EQ(head.find("Content-Type"), std::string::npos) << head;
  EXPECT_NE(head.find("\r\nDATE: today\r\n"), std::string::npos) << head;
  EXPECT_EQ(head.find("Date"), std::string::npos) << head;
  EXPECT_NE(head.find("\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n"), std::string::npos) << head;
}

TEST_F(Server, KeepsConnectionsAlive) {
  start();
  auto c = client();
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(c.ask(get("/hello/" + std::to_string(i)))->body, "Hello, " + std::to_string(i));
  EXPECT_EQ(server_->stats().accepted, 1U);
  EXPECT_EQ(server_->stats().requests, 100U);
  EXPECT_EQ(c.ask(get("/hello/x", "Connection: close\r\n"))->status, 200);
  EXPECT_EQ(c.rest(), "");
}

TEST_F(Server, AnswersPipelinedRequestsInOrder) {
  start();
  std::string packet;
  for (int i = 0; i < 50; ++i) packet += get("/hello/" + std::to_string(i));
  auto c = client();
  c.send(packet);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(c.receive()->body, "Hello, " + std::to_string(i));
}

TEST_F(Server, ALastAnswerArrivesThoughTheClientHasSentMore) {
  start();
  for (int i = 0; i < test::times(100); ++i) {
    auto c = client();
    c.send(get("/hello/last", "Connection: close\r\n") + get("/hello/more") + std::string(100'000, 'x'));
    EXPECT_EQ(c.receive()->body, "Hello, last");
    EXPECT_EQ(c.rest(), "");
    EXPECT_FALSE(c.error()) << c.error();
  }
}

TEST_F(Server, ReadsARequestThatComesByteByByte) {
  start();
  auto c = client();
  const std::string in_chunks =
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;e=1\r\nde\r\n0\r\nTrailer: "
      "t\r\n\r\n";
  const std::string sized = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde";
  for (const auto& text : {get("/hello/slow"), in_chunks, sized}) c.send_byte_by_byte(text);
  EXPECT_EQ(c.receive()->body, "Hello, slow");
  EXPECT_EQ(c.receive()->body, "abcde");
  EXPECT_EQ(c.receive()->body, "abcde");
}

TEST_F(Server, SpeaksHttp10) {
  start();
  auto c = client();
  EXPECT_EQ(c.ask("GET /hello/old HTTP/1.0\r\n\r\n")->body, "Hello, old");
  EXPECT_EQ(c.rest(), "");
  auto kept = client();
  for (int i = 0; i < 3; ++i) {
    const auto a = kept.ask("GET /hello/old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_NE(a->head.find("Connection: keep-alive"), std::string::npos);
  }
}

TEST_F(Server, HeadHasALengthAndNoBody) {
  start();
  auto c = client();
  c.send("HEAD /hello/x HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto a = c.receive(false);
  EXPECT_NE(a->head.find("Content-Length: 8\r\n"), std::string::npos);
  EXPECT_EQ(c.ask(get("/hello/y"))->body, "Hello, y");
}

TEST_F(Server, SaysWhatItDoesNotHave) {
  start();
  auto c = client();
  EXPECT_EQ(c.ask(get("/none"))->status, 404);
  const auto wrong = c.ask("PUT /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(wrong->status, 405);
  EXPECT_NE(wrong->head.find("Allow: POST, OPTIONS\r\n"), std::string::npos);
  const auto options = c.ask("OPTIONS /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(options->status, 204);
  EXPECT_NE(options->head.find("Allow: POST, OPTIONS\r\n"), std::string::npos);
}

TEST_F(Server, StreamsInChunks) {
  start();
  auto c = client();
  c.send(get("/stream", "Connection: close\r\n"));
  const std::string all = c.rest();
  EXPECT_NE(all.find("X-Kind: stream\r\n"), std::string::npos);
  EXPECT_NE(all.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_TRUE(all.ends_with("\r\n\r\n6\r\nfirst,\r\n7\r\nsecond,\r\n5\r\nthird\r\n0\r\n\r\n")) << all;
  auto old = client();
  old.send("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(old.rest().ends_with("\r\n\r\nfirst,second,third"));
}

TEST_F(Server, AHandlerThatThrowsIs500AndReported) {
  start();
  testing::internal::CaptureStderr();
  auto c = client();
  EXPECT_EQ(c.ask(get("/throw"))->status, 500);
  EXPECT_EQ(c.ask(get("/hello/x"))->status, 200) << "the connection goes on";
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("GET /throw from 127.0.0.1:"), std::string::npos) << said;
  EXPECT_NE(said.find("handler trouble"), std::string::npos) << said;
  EXPECT_EQ(server_->stats().errors, 1U);
}

TEST_F(Server, WhatAClientMakesAHandlerSayIsReportedOnOneLine) {
  server s(on_a_free_port());
  s.handle("GET /", [](request& q, response&) { throw std::runtime_error("no " + q.query("x") + "!"); });
  s.start();
  testing::internal::CaptureStderr();
  EXPECT_EQ(http_client(s.address()).ask(get("/?x=a%0Agofer:%1B%5B2J%C2%9B2J%09%7F%C3%A4%C2"))->status, 500);
  const std::string report = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(report.ends_with(": no a gofer: [2J  2J  \xc3\xa4\xc2!\n")) << report;
  EXPECT_EQ(report.find('\n'), report.size() - 1);
}

TEST_F(Server, ResponsesRefuseWhatWouldBreakTheMessage) {
  server s(on_a_free_port());
  s.handle("/", [](request&, response& r) {
    EXPECT_THROW(r.header("X", "a\r\nY: b"), std::invalid_argument);
    EXPECT_THROW(r.header("X: y", "a"), std::invalid_argument);
    EXPECT_THROW(r.header("content-length", "5"), std::invalid_argument);
    EXPECT_THROW(r.status(100), std::invalid_argument);
    r.flush();
    EXPECT_THROW(r.status(200), std::logic_error);
    EXPECT_THROW(r.header("X", "a"), std::logic_error);
  });
  s.start();
  http_client c(s.address());
  c.send(get("/", "Connection: close\r\n"));
  EXPECT_NE(c.rest().find("200 OK"), std::string::npos);
}

struct refused {
  const char* request;
  int status;
};

TEST_F(Server, RefusesWhatIsNoRequest) {
  server_options small;
  small.max_header_bytes = 512;
  small.max_body_bytes = 1000;
  start(small);
  const std::string long_field = "GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(1000, 'a') + "\r\n\r\n";
  const std::string long_chunks = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n258\r\n" +
                                  std::string(600, 'a') + "\r\n258\r\n";
  const std::string long_extension =
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(5000, 'a');
  const refused all[] = {
      {"nonsense\r\n\r\n", 400},
      {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
      {"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET /../x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", 413},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nContent-Length: 1\r\n\r\n", 417},
      {long_field.c_str(), 431},
      {long_chunks.c_str(), 413},
      {long_extension.c_str(), 400},
  };
  for (const auto& [text, status] : all) {
    auto c = client();
    const auto a = c.ask(text);
    ASSERT_TRUE(a) << text;
    EXPECT_EQ(a->status, status) << text;
    if (status != 400) {
      EXPECT_EQ(c.rest(), "") << "closed";
    }
  }
  EXPECT_EQ(client().ask(get("/hello/x"))->status, 200);
}

TEST_F(Server, NoRequestSeesWhatAnotherHasLeft) {
  start();
  // One after another on connections of their own, in the same memory.
  auto one = client();
  auto other = client();
  auto third = client();
  EXPECT_EQ(one.ask("POST /seen/a?x=1 HTTP/1.1\r\nHost: h\r\nX: y\r\nX-Request-Id: id\r\nContent-Length: 4\r\n\r\nbody")
                ->body,
            "POST /seen/a?x=1 a 1 y body id 4");
  EXPECT_EQ(other.ask(get("/seen/b"))->body, "GET /seen/b b     1");
  one.send("HEAD /seen/c HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(one.receive(false)->status, 200);
  const auto refused = third.ask("nonsense\r\n\r\n");  // after a HEAD an answer without a body would be wrong
  EXPECT_EQ(refused->status, 400);
  EXPECT_NE(refused->body.find("the request line has to be"), std::string::npos);
  EXPECT_EQ(other.ask("GET /seen/d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")->body, "GET /seen/d d     1");
  EXPECT_EQ(one.ask(get("/seen/e"))->head.find("Connection: "), std::string::npos);
}

TEST_F(Server, AsksForABodyThatIsAnnounced) {
  start();
  auto c = client();
  c.send("POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(c.receive()->status, 100);
  EXPECT_EQ(c.ask("abc")->body, "abc");
}

TEST_F(Server, SlowClientsAreSentAway) {
  server_options quick;
  quick.header_timeout = 30ms;
  quick.read_timeout = 30ms;
  quick.idle_timeout = 30ms;
  start(quick);
  EXPECT_EQ(client().rest(), "") << "never says anything";
  auto half = client();
  EXPECT_EQ(half.ask("GET / HT")->status, 408);
  auto no_body = client();
  EXPECT_EQ(no_body.ask("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na")->status, 408);
  auto idle = client();
  EXPECT_EQ(idle.ask(get("/hello/x"))->status, 200);
  EXPECT_EQ(idle.rest(), "");
}

TEST_F(Server, AClientThatDisappearsMidAnswerHarmsNobody) {
  server_options o;
  o.write_timeout = 10s;
  server s(on_a_free_port());
  std::atomic<int> failed{0};
  s.handle("/endless", [&](request& q, response& r) {
    r.flush();
    const std::string part(100'000, 'x');
    try {
      for (;;) r.write(part);
    } catch (const std::system_error&) {
      EXPECT_TRUE(q.token().stop_requested());
      ++failed;
      throw;
    }
  });
  s.handle("/fine", [](request&, response& r) { r.write("fine"); });
  s.start();
  for (int i = 0; i < 5; ++i) {
    http_client c(s.address());
    c.send(get("/endless"));
    (void)c.receive(false);
  }  // closed with much unread: a reset
  while (failed != 5) gofer::sleep_for(1ms);
  EXPECT_EQ(http_client(s.address()).ask(get("/fine"))->body, "fine");
  while (s.stats().connections != 0) gofer::sleep_for(1ms);
  EXPECT_EQ(s.stats().active, 0U);
}

TEST_F(Server, MiddlewareGoesAroundEveryAnswer) {
  server s(on_a_free_port());
  std::vector<std::string> order;
  s.use([&](request&, response& r, const auto& next) {
    order.emplace_back("outer");
    next();
    order.push_back(std::to_string(r.status()));
  });
  s.use([&](request& q, response& r, const auto& next) {
    order.emplace_back("inner");
    if (q.query("stop") == "here") {
      r.status(403).write("no");
    } else {
      next();
    }
  });
  s.handle("GET /x", [](request&, response& r) { r.write("x"); });
  s.handle("GET /throw", [](request&, response&) { throw std::runtime_error("handler trouble"); });
  s.start();
  EXPECT_EQ(http_client(s.address()).ask(get("/x"))->body, "x");
  EXPECT_EQ(http_client(s.address()).ask(get("/x?stop=here"))->status, 403);
  EXPECT_EQ(http_client(s.address()).ask(get("/nothing"))->status, 404);
  testing::internal::CaptureStderr();
  EXPECT_EQ(http_client(s.address()).ask(get("/throw", "X-Request-Id: mine-1\r\n"))->status, 500);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("request mine-1: handler trouble"), std::string::npos);
  EXPECT_EQ(order, (std::vector<std::string>{"outer", "inner", "200", "outer", "inner", "403", "outer", "inner", "404",
                                             "outer", "inner", "500"}));
  EXPECT_THROW(s.use(gofer::http::request_ids()), std::logic_error);
}

TEST_F(Server, MiddlewareMayAskForTheToken) {
  server s(on_a_free_port());
  s.use([](request& q, response& r, const auto& next) {
    EXPECT_FALSE(q.token().stop_requested());
    if (q.query("stop") == "here") {
      r.status(403).write("no");
    } else {
      next();
    }
  });
  s.handle("GET /x", [](request&, response& r) { r.write("x"); });
  s.start();
  http_client c(s.address());
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(c.ask(get("/x?stop=here"))->status, 403);
    EXPECT_EQ(c.ask(get("/x"))->body, "x");
  }
}

TEST_F(Server, MiddlewareThatThrowsIs500) {
  server s(on_a_free_port());
  s.use([](request&, response&, const auto&) { throw std::runtime_error("middleware trouble"); });
  s.start();
  testing::internal::CaptureStderr();
  EXPECT_EQ(http_client(s.address()).ask(get("/x"))->status, 500);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("middleware trouble"), std::string::npos);
}

TEST_F(Server, WhatMiddlewareHasSetStaysWithA500AndA503) {
  server s(on_a_free_port());
  s.use(gofer::http::request_ids());
  std::vector<std::string> patterns;
  s.use([&](request& q, response&, const auto& next) {
    patterns.push_back(q.pattern());
    next();
  });
  s.handle("GET /throw/{x}", [](request&, response& r) {
    r.header("X-Mine", "of the handler");
    throw std::runtime_error("handler trouble");
  });
  s.handle("GET /never", gofer::http::at_most(0, [](request&, response&) {}));
  s.start();
  http_client c(s.address());
  testing::internal::CaptureStderr();
  const auto failed = c.ask(get("/throw/1", "X-Request-Id: one\r\n"));
  (void)testing::internal::GetCapturedStderr();
  EXPECT_EQ(failed->status, 500);
  EXPECT_NE(failed->head.find("X-Request-Id: one"), std::string::npos);
  EXPECT_EQ(failed->head.find("X-Mine"), std::string::npos);
  const auto full = c.ask(get("/never", "X-Request-Id: two\r\n"));
  EXPECT_EQ(full->status, 503);
  EXPECT_NE(full->head.find("X-Request-Id: two"), std::string::npos);
  EXPECT_EQ(c.ask(get("/nothing"))->status, 404);
  EXPECT_EQ(patterns, (std::vector<std::string>{"GET /throw/{x}", "GET /never", ""}));
}

TEST_F(Server, RequestsHaveIds) {
  server s(on_a_free_port());
  s.use(gofer::http::request_ids());
  s.handle("GET /x", [](request& q, response& r) { r.write(q.id()); });
  s.start();
  http_client c(s.address());
  const auto mine = c.ask(get("/x", "X-Request-Id: a.b_C-9\r\n"));
  EXPECT_EQ(mine->body, "a.b_C-9");
  EXPECT_NE(mine->head.find("\r\nX-Request-Id: a.b_C-9\r\n"), std::string::npos);
  const auto first = c.ask(get("/x", "X-Request-Id: with space\r\n"))->body;
  const auto second = c.ask(get("/x", "X-Request-Id: " + std::string(65, 'x') + "\r\n"))->body;
  EXPECT_EQ(first.size(), 16U);
  EXPECT_EQ(second.size(), 16U);
  EXPECT_NE(first, second);
}

TEST_F(Server, AnswersAreLogged) {
  server s(on_a_free_port());
  s.use(gofer::http::access_log());
  s.handle("GET /x", [](request&, response& r) { r.status(201).write("four"); });
  s.start();
  testing::internal::CaptureStderr();
  http_client c(s.address());
  c.ask(get("/x?\"q\\", "X-Request-Id: r1\r\n"));
  c.ask(get("/none"));
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log,
              testing::ContainsRegex(
                  "^\\{\"time\":\"20..-..-..T..:..:...*Z\",\"id\":\"r1\",\"remote\":\"127.0.0.1:[0-9]+\",\"method\":"
                  "\"GET\",\"target\":\"/x.*,\"status\":201,\"bytes\":4,\"duration_ms\":[0-9]+.[0-9]+\\}\n"));
  EXPECT_NE(log.find("\"target\":\"/x?\\\"q\\\\\""), std::string::npos) << log;
  EXPECT_NE(log.find("\"status\":404"), std::string::npos);
}

TEST_F(Server, AHandlerHasSoMuchTime) {
  server s(on_a_free_port());
  s.handle("GET /slow", gofer::http::within(10ms, [](request& q, response& r) {
             r.write(gofer::sleep_for(20s, q.token()) ? "slept" : "stopped");
           }));
  s.handle("GET /quick", gofer::http::within(20s, [](request& q, response& r) {
             r.write(q.token().stop_requested() ? "late" : "in time");
           }));
  s.start();
  http_client c(s.address());
  EXPECT_EQ(c.ask(get("/slow"))->status, 503);
  EXPECT_EQ(c.ask(get("/quick"))->body, "in time");
}

TEST_F(Server, AHandlerRunsSoOftenAtOnce) {
  server s(on_a_free_port());
  std::atomic<int> inside{0};
  s.handle("GET /x", gofer::http::at_most(2, [&](request&, response& r) {
             ++inside;
             (void)go_on_.receive();
             r.write("done");
           }));
  s.start();
  http_client first(s.address());
  http_client second(s.address());
  first.send(get("/x"));
  second.send(get("/x"));
  while (inside != 2) gofer::sleep_for(1ms);
  EXPECT_EQ(http_client(s.address()).ask(get("/x"))->status, 503);
  go_on_.send(1);
  go_on_.send(1);
  EXPECT_EQ(first.receive()->body, "done");
  EXPECT_EQ(second.receive()->body, "done");
  go_on_.send(1);
  EXPECT_EQ(http_client(s.address()).ask(get("/x"))->body, "done");
}

TEST_F(Server, AHandlerHearsOfAClientThatGoesAway) {
  for (const std::size_t workers : {0, 2}) {
    server_options o;
    o.workers = workers;
    start(o);
    {
      auto c = client();
      c.send(get("/wait"));
      while (waiting_ == 0) gofer::sleep_for(1ms);
      EXPECT_EQ(cancelled_, 0);
    }
    while (cancelled_ == 0) gofer::sleep_for(1ms);
    waiting_ = cancelled_ = 0;
  }
}

TEST_F(Server, AClientThatHasSentAllStillGetsItsAnswer) {
  start();
  auto c = client();
  c.send(get("/wait") + get("/hello/x"));
  c.connection().shutdown_write();
  EXPECT_EQ(c.receive()->body, "waited");
  EXPECT_EQ(c.receive()->body, "Hello, x");
  EXPECT_FALSE(c.receive());
}

TEST_F(Server, WhatComesWhileAHandlerIsWatchedIsTheNextRequest) {
  start();
  auto c = client();
  for (int i = 0; i < 200; ++i) {
    c.send(get("/wait"));
    if (i % 3 == 0) gofer::sleep_for(1ms);
    go_on_.send(1);
    if (i % 3 == 1) gofer::yield();
    c.send(get("/hello/" + std::to_string(i)));
    EXPECT_EQ(c.receive()->body, "waited");
    EXPECT_EQ(c.receive()->body, "Hello, " + std::to_string(i));
  }
  EXPECT_EQ(cancelled_, 0);
}

TEST_F(Server, ServesAThousandConnectionsAtOnce) {
  start();
  std::vector<http_client> clients;
  for (int i = 0; i < 1000; ++i) clients.push_back(client());
  for (auto& c : clients) c.send(get("/wait"));
  while (waiting_ != 1000) gofer::sleep_for(1ms);
  EXPECT_EQ(server_->stats().active, 1000U);
  for (int i = 0; i < 1000; ++i) go_on_.send(0);
  for (auto& c : clients) EXPECT_EQ(c.receive()->body, "waited");
  EXPECT_EQ(server_->stats().active, 0U);
}

TEST_F(Server, TurnsAwayMoreConnectionsThanItMayHave) {
  server_options two;
  two.max_connections = 2;
  start(two);
  auto first = client();
  auto second = client();
  EXPECT_EQ(first.ask(get("/hello/x"))->status, 200);
  EXPECT_EQ(second.ask(get("/hello/x"))->status, 200);
  EXPECT_EQ(client().receive()->status, 503);
  EXPECT_EQ(server_->stats().overloaded, 1U);
  first.connection().close();
  while (server_->stats().connections > 1) gofer::sleep_for(1ms);
  EXPECT_EQ(client().ask(get("/hello/x"))->status, 200);
}

/// Each by the future of what it has submitted.
int sessions_waiting_for_a_worker() {
  int count = 0;
  gofer::debug::for_each_fiber(
      [&](const auto& fiber) { count += fiber.operation == "condition_variable::wait" ? 1 : 0; });
  return count;
}

TEST_F(Server, RunsHandlersInAPoolAndAnswers503WhenItIsFull) {
  server_options pool;
  pool.workers = 2;
  pool.queue_capacity = 3;
  start(pool);
  std::vector<http_client> clients;
  for (int i = 0; i < 5; ++i) clients.push_back(client());
  for (int i = 0; i < 2; ++i) clients[static_cast<std::size_t>(i)].send(get("/wait"));
  while (waiting_ != 2) gofer::sleep_for(1ms);
  for (int i = 2; i < 5; ++i) clients[static_cast<std::size_t>(i)].send(get("/wait"));
  while (sessions_waiting_for_a_worker() != 5) gofer::sleep_for(1ms);
  const auto a = client().ask(get("/hello/x"));
  EXPECT_EQ(a->status, 503);
  EXPECT_NE(a->head.find("Retry-After: "), std::string::npos);
  for (int i = 0; i < 5; ++i) go_on_.send(0);
  for (auto& c : clients) EXPECT_EQ(c.receive()->status, 200);
}

TEST_F(Server, ShutdownAnswersWhatHasBegunAndClosesWhatIsIdle) {
  start();
  auto idle = client();
  EXPECT_EQ(idle.ask(get("/hello/x"))->status, 200);
  auto busy = client();
  busy.send(get("/wait"));
  while (waiting_ != 1) gofer::sleep_for(1ms);
  gofer::wait_group shutting_down;
  shutting_down.go([&] { EXPECT_TRUE(server_->shutdown(20s)); });
  EXPECT_EQ(idle.rest(), "");
  EXPECT_THROW(http_client(server_->address()), std::system_error);
  go_on_.send(0);
  const auto a = busy.receive();
  EXPECT_EQ(a->body, "waited");
  EXPECT_NE(a->head.find("Connection: close"), std::string::npos);
  EXPECT_EQ(busy.rest(), "");
  shutting_down.wait();
  EXPECT_TRUE(server_->shutdown(0s)) << "again";
}

TEST_F(Server, EventsThatNeverEndEndWithTheShutdown) {
  server s(on_a_free_port());
  s.handle("GET /events", [&](request& q, response& r) {
    gofer::http::event_stream events(r);
    gofer::ticker t(1ms);
    while (gofer::select(gofer::on_receive(t.ticks()), gofer::on_stop(q.token()), gofer::on_stop(s.shutdown_token())) ==
           0) {
      events.send("tick");
    }
  });
  s.start();
  http_client c(s.address());
  c.send(get("/events"));
  EXPECT_EQ(c.receive(false)->status, 200);
  EXPECT_TRUE(s.shutdown(std::chrono::hours::max()));
  EXPECT_TRUE(c.rest().ends_with("0\r\n\r\n"));
}

TEST_F(Server, ShutdownCutsOffWhatTakesTooLong) {
  start();
  auto c = client();
  c.send(get("/wait"));
  while (waiting_ != 1) gofer::sleep_for(1ms);
  EXPECT_FALSE(server_->shutdown(5ms));
  EXPECT_EQ(c.rest(), "");
  while (cancelled_ != 1) gofer::sleep_for(1ms);
}

TEST_F(Server, IsMisusedLoudly) {
  start();
  EXPECT_THROW(server_->start(), std::logic_error);
  EXPECT_THROW(server_->handle("/late", [](request&, response&) {}), std::logic_error);
  server same({.address = server_->address()});
  EXPECT_THROW(same.start(), std::system_error);
  server wrong({.address = "nowhere"});
  EXPECT_THROW(wrong.serve(), std::invalid_argument);
  server over(on_a_free_port());
  EXPECT_TRUE(over.shutdown(0s));
  EXPECT_THROW(over.start(), std::logic_error);
}

TEST_F(Server, OptionsThatLeaveNoRoomOrNoTimeAreRefused) {
  const auto refused = [](auto&& change) {
    server_options o = on_a_free_port();
    change(o);
    try {
      const server s(o);
      return std::string("nothing");
    } catch (const std::invalid_argument& e) {
      return std::string(e.what());
    }
  };
  EXPECT_EQ(refused([](server_options& o) { o.header_timeout = 0s; }),
            "http::server on 127.0.0.1:0: header_timeout has to be positive");
  EXPECT_THAT(refused([](server_options& o) { o.read_timeout = -1s; }), testing::HasSubstr("read_timeout"));
  EXPECT_THAT(refused([](server_options& o) { o.write_timeout = 0s; }), testing::HasSubstr("write_timeout"));
  EXPECT_THAT(refused([](server_options& o) { o.idle_timeout = 0s; }), testing::HasSubstr("idle_timeout"));
  EXPECT_THAT(refused([](server_options& o) { o.max_header_bytes = 0; }), testing::HasSubstr("max_header_bytes"));
  EXPECT_EQ(refused([](server_options& o) { o.queue_capacity = 0; }), "nothing");
  EXPECT_THAT(refused([](server_options& o) { o.queue_capacity = 0, o.workers = 1; }),
              testing::HasSubstr("queue_capacity"));
}

TEST_F(Server, KeepsNoMemoryOfLargeQueries) {
  start();
  std::string query = "/wait?";
  while (query.size() < 16'000) query += "a&";
  const auto in_use = [] {
    const auto all = mallinfo2();
    return all.uordblks + all.hblkhd;
  };
  const auto round = [&](const std::string& target) {
    std::vector<http_client> clients;
    for (int i = 0; i < 60; ++i) clients.push_back(client());
    for (auto& c : clients) c.send(get(target));
    while (waiting_ != 60) gofer::sleep_for(1ms);
    for (int i = 0; i < 60; ++i) go_on_.send(0);
    for (auto& c : clients) EXPECT_EQ(c.receive()->status, 200);
    clients.clear();
    while (server_->stats().connections != 0) gofer::sleep_for(1ms);
    waiting_ = 0;
  };
  round("/wait");
  const std::size_t before = in_use();
  round(query);
  EXPECT_LT(in_use(), before + 60 * 100'000) << "each had 8,000 names";
}

// Every request that the server has counted was answered in full, whenever the shutdown comes.
TEST_F(Server, StressShutdownUnderLoadLosesNoAcceptedRequest) {
  for (int round = 0; round < test::times(40); ++round) {
    server s(on_a_free_port());
    s.handle("/work/{n}", [](request& q, response& r) {
      if (q.path_value("n").back() == '7') gofer::sleep_for(200us);
      r.write(q.path_value("n"));
    });
    s.start();
    const std::string address = s.address();
    std::atomic<std::uint64_t> answered{0};
    gofer::wait_group clients;
    for (int i = 0; i < 16; ++i) {
      clients.go([&answered, address] {
        try {
          for (;;) {
            http_client c(address);
            for (int n = 0; n < 20; ++n) {
              const auto a = c.ask(get("/work/" + std::to_string(n)));
              if (!a) break;
              EXPECT_EQ(a->body, std::to_string(n));
              ++answered;
              if (a->head.find("Connection: close") != std::string::npos) break;
            }
          }
        } catch (const std::system_error&) {
          // refused, or reset before the request was read: it is shut down
        }
      });
    }
    while (answered < 50) gofer::sleep_for(100us);
    EXPECT_TRUE(s.shutdown(20s));
    clients.wait();
    EXPECT_EQ(s.stats().requests, answered);
    EXPECT_EQ(s.stats().active, 0U);
    EXPECT_EQ(s.stats().connections, 0U);
  }
}

}  // namespace
