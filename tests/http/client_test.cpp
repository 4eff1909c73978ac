#include <gofer/http_client.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>

#include <gofer/gofer.hpp>
#include <gofer/net.hpp>

#include "support/callers.hpp"
#include "support/silent_port.hpp"

namespace {

using namespace std::chrono_literals;
using gofer::http::answer;
using gofer::http::client;
using gofer::http::client_options;
using gofer::http::request;
using gofer::http::response;
using gofer::http::server;

class Client : public testing::Test {
 protected:
  Client() {
    server_.handle("/echo", [](request& q, response& r) {
      r.header("X-Method", q.method()).header("X-Type", q.header("Content-Type")).write(q.body());
    });
    server_.handle("GET /query", [](request& q, response& r) { r.write(q.query("a")).write(q.header("X-Mine")); });
    server_.handle("GET /stream", [](request&, response& r) {
      for (int i = 0; i < 100; ++i) {
        r.write(std::string(1000, 'x'));
        r.flush();
      }
    });
    server_.handle("GET /wait", [this](request& q, response&) {
      ++waiting_;
      gofer::sleep_for(20s, q.token());
    });
    server_.start();
  }
  std::string url(const std::string& path) { return "http://" + server_.address() + path; }

  std::atomic<int> waiting_{0};
  server server_{{.address = "127.0.0.1:0"}};
  client client_;
};

/// A server that reads what it is asked and answers what it is told, then closes.
class raw_server {
 public:
  /// Says `bytes` to whoever asks, so many at a time, and closes.
  explicit raw_server(std::string bytes, std::size_t at_a_time = std::string::npos)
      : listener_(gofer::net::listener::listen("127.0.0.1:0")) {
    served_ = gofer::async([this, bytes, at_a_time] {
      try {
        for (;;) {
          auto c = listener_.accept();
          char part[4096];
          (void)c.read_some(std::as_writable_bytes(std::span(part)));
          ++count_;
          for (std::size_t at = 0; at < bytes.size(); at += std::min(at_a_time, bytes.size())) {
            if (at != 0) gofer::sleep_for(1ms);  // so that they come apart
            c.write(std::as_bytes(std::span(std::string_view(bytes).substr(at, at_a_time))));
          }
        }
      } catch (const std::system_error&) {
      }
    });
  }
  ~raw_server() {
    listener_.close();
    served_.wait();
  }
  std::string url() { return "http://" + listener_.address() + "/"; }
  int count() const { return count_; }

 private:
  gofer::net::listener listener_;
  gofer::future<void> served_;
  std::atomic<int> count_{0};
};

TEST_F(Client, AsksAndIsAnswered) {
  const answer a = client_.post(url("/echo"), "hello", "text/x");
  EXPECT_EQ(a.status(), 200);
  EXPECT_EQ(a.header("x-method"), "POST");
  EXPECT_EQ(a.header("X-Type"), "text/x");
  EXPECT_EQ(a.body(), "hello");
  EXPECT_EQ(client_.get(url("/query?a=b%20c")).body(), "b c");
  EXPECT_EQ(client_.send({.url = url("/query"), .headers = {{"X-Mine", "mine"}}}).body(), "mine");
  EXPECT_EQ(client_.get(url("/nothing")).status(), 404);
  const answer head = client_.send({.method = "HEAD", .url = url("/query?a=123")});
  EXPECT_EQ(head.status(), 200);
  EXPECT_EQ(head.header("Content-Length"), "3");
  EXPECT_EQ(head.body(), "");
  EXPECT_EQ(server_.stats().accepted, 1U) << "one connection for all";
}

TEST_F(Client, ReadsChunksAsAWholeOrAsTheyCome) {
  EXPECT_EQ(client_.get(url("/stream")).body().size(), 100'000U);
  std::size_t seen = 0;
  std::size_t parts = 0;
  const answer a = client_.send({.url = url("/stream"), .on_body = [&](std::string_view part) {
                                   seen += part.size();
                                   ++parts;
                                 }});
  EXPECT_EQ(seen, 100'000U);
  EXPECT_GE(parts, 10U);
  EXPECT_EQ(a.body(), "");
  EXPECT_THROW(client_.send({.url = url("/stream"), .on_body = [](auto) { throw std::out_of_range("enough"); }}),
               std::out_of_range);
  EXPECT_EQ(client_.get(url("/query?a=b")).body(), "b") << "and it is usable as before";
}

TEST_F(Client, ReadsServerSentEvents) {
  server s({.address = "127.0.0.1:0"});
  std::atomic<bool> over{false};
  s.handle("GET /events", [&](request& q, response& r) {
    gofer::http::event_stream events(r);
    EXPECT_THROW(events.send("x", "two\nlines"), std::invalid_argument);
    EXPECT_THROW((void)gofer::http::event_stream{r}, std::logic_error);
    events.send("one");
    events.keep_alive();
    events.send("two\r\nlines\nand\rmore", "kind", "7");
    events.send("");
    gofer::sleep_for(20s, q.token());
    over = true;
  });
  s.start();
  std::string seen;
  std::stop_source stop;
  try {
    client_.send({.url = "http://" + s.address() + "/events",
                  .on_body =
                      [&](std::string_view part) {
                        seen += part;
                        if (seen.ends_with("data: \n\n")) stop.request_stop();
                      },
                  .stop = stop.get_token()});
    FAIL() << "it goes on";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_canceled);
  }
  EXPECT_EQ(seen, "data: one\n\n:\n\nevent: kind\nid: 7\ndata: two\ndata: lines\ndata: and\ndata: more\n\ndata: \n\n");
  while (!over) gofer::sleep_for(1ms);  // hears of the client's going
}

TEST_F(Client, ServesManyFibersAndThreads) {
  test::run_in(test::callers::mixed, 40, [&](int i) {
    for (int k = 0; k < 25; ++k) {
      const std::string text = std::to_string(i * 100 + k);
      EXPECT_EQ(client_.post(url("/echo"), text).body(), text);
    }
  });
  EXPECT_LE(server_.stats().accepted, 200U) << "connections are used again";
}

TEST_F(Client, GivesUpWhenTheTimeIsUp) {
  client hasty({.timeout = 20ms});
  try {
    hasty.get(url("/wait"));
    FAIL() << "it was answered";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::timed_out);
  }
}

TEST_F(Client, GivesUpWhenAskedTo) {
  std::stop_source stop;
  auto asked = gofer::async([&] {
    try {
      client_.send({.url = url("/wait"), .stop = stop.get_token()});
      return std::error_code();
    } catch (const std::system_error& e) {
      return e.code();
    }
  });
  while (waiting_ == 0) gofer::sleep_for(1ms);
  stop.request_stop();
  EXPECT_EQ(asked.get(), std::errc::operation_canceled);
  EXPECT_THROW(client_.send({.url = url("/query"), .stop = stop.get_token()}), std::system_error);
}

TEST_F(Client, GivesUpWhenAskedToWhileNobodyAnswers) {
  const test::silent_port silent;
  std::stop_source stop;
  const gofer::timer soon(10ms, [stop]() mutable { stop.request_stop(); });
  client patient({.connect_timeout = 1h, .timeout = 1h});
  try {
    patient.send({.url = "http://" + gofer::net::to_string(silent.where()), .stop = stop.get_token()});
    FAIL() << "it was answered";
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::operation_canceled);
    EXPECT_NE(std::string(e.what()).find("a stop was requested"), std::string::npos) << e.what();
  }
}

TEST_F(Client, AKeptConnectionThatWasClosedIsReplaced) {
  std::optional<server> first;
  const auto start = [&](const std::string& address) {
    first.emplace(gofer::http::server_options{.address = address});
    first->handle("GET /x", [](request&, response& r) { r.write("x"); });
    first->start();
    return first->address();
  };
  const std::string address = start("127.0.0.1:0");
  EXPECT_EQ(client_.get("http://" + address + "/x").body(), "x");
  first.reset();
  start(address);
  EXPECT_EQ(client_.get("http://" + address + "/x").body(), "x");
  first.reset();
  EXPECT_THROW(client_.get("http://" + address + "/x"), std::system_error);
}

TEST_F(Client, AnAnswerThatComesBeforeAllIsSentIsTheAnswer) {
  server s({.address = "127.0.0.1:0", .max_body_bytes = 1000});
  s.handle("POST /", [](request&, response& r) { r.write("taken"); });
  s.start();
  const std::string at = "http://" + s.address() + "/";
  EXPECT_EQ(client_.post(at, "small").body(), "taken");
  EXPECT_EQ(client_.post(at, std::string(64 << 20, 'x')).status(), 413);
  EXPECT_EQ(client_.post(at, "small").body(), "taken");
}

TEST_F(Client, ConnectionsAreKeptForSoLong) {
  client c({.idle_per_server = 2, .idle_timeout = 50ms});
  test::run_in(test::callers::mixed, 8, [&](int) { EXPECT_EQ(c.get(url("/query?a=x")).body(), "x"); });
  const auto last = std::chrono::steady_clock::now();
  while (server_.stats().connections != 0) {
    gofer::sleep_for(1ms);
    ASSERT_LT(std::chrono::steady_clock::now() - last, 20s) << "nobody asks, and they stay open";
  }
  EXPECT_EQ(c.get(url("/query?a=x")).body(), "x");
}

TEST_F(Client, RefusesWhatCannotBeAsked) {
  EXPECT_THROW(client_.get("ftp://127.0.0.1/"), std::invalid_argument);
  EXPECT_THROW(client_.get("127.0.0.1/"), std::invalid_argument);
  EXPECT_THROW(client_.get("http:///x"), std::invalid_argument);
  EXPECT_THROW(client_.get("http://user@127.0.0.1/"), std::invalid_argument);
  EXPECT_THROW(client_.get(url("/a b")), std::invalid_argument);
  EXPECT_THROW(client_.get(url("/a\r\nX: y")), std::invalid_argument);
  EXPECT_THROW(client_.get(url("/\xc3\xa4")), std::invalid_argument);
  EXPECT_THROW(client_.send({.method = "GET /", .url = url("/")}), std::invalid_argument);
  EXPECT_THROW(client_.send({.method = "CONNECT", .url = url("/")}), std::invalid_argument);
  EXPECT_THROW(client_.send({.url = url("/"), .headers = {{"A", "b\r\nC: d"}}}), std::invalid_argument);
  EXPECT_THROW(client_.send({.url = url("/"), .headers = {{"Content-Length", "1"}}}), std::invalid_argument);
  EXPECT_THROW(client_.send({.url = url("/"), .headers = {{"host", "x"}}}), std::invalid_argument);
}

TEST_F(Client, ReadsAnswersOfAllKinds) {
  EXPECT_EQ(client_.get(raw_server("HTTP/1.0 200 OK\r\n\r\nuntil the end").url()).body(), "until the end");
  EXPECT_EQ(client_.get(raw_server("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").url()).status(),
            204);
  raw_server twice("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
  EXPECT_EQ(client_.get(twice.url()).body(), "a");
  EXPECT_EQ(client_.get(twice.url()).body(), "a");
  EXPECT_EQ(twice.count(), 2) << "closed meanwhile, so asked over another connection";
  raw_server slow("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nab\r\n0\r\n\r\n", 1);
  EXPECT_EQ(client_.get(slow.url()).body(), "ab");
}

TEST_F(Client, RefusesAnswersThatAreNone) {
  for (const char* bytes :
       {"nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Enc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 100 Continue\r\n\r\n"}) {
    EXPECT_THROW(client_.get(raw_server(bytes).url()), gofer::http::bad_answer) << bytes;
  }
  EXPECT_THROW(client_.get(raw_server("").url()), std::system_error);
  client small({.max_header_bytes = 200, .max_body_bytes = 100});
  EXPECT_THROW(small.get(raw_server("HTTP/1.1 200 OK\r\nX: " + std::string(300, 'a') + "\r\n\r\n").url()),
               gofer::http::bad_answer);
  EXPECT_THROW(small.get(raw_server("HTTP/1.0 200 OK\r\n\r\n" + std::string(300, 'a')).url()), gofer::http::bad_answer);
  const std::string in_chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const char* end : {"0\r\nX: ", "1;x="}) {  // which never comes
    try {
      small.get(raw_server(in_chunks + end + std::string(100'000, 'a')).url());
      ADD_FAILURE() << end;
    } catch (const gofer::http::bad_answer& e) {
      EXPECT_NE(std::string(e.what()).find("of more than 200 bytes"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
