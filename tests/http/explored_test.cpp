// The server under explored schedules, in a network in memory: what it promises whatever the network does.

#include <gtest/gtest.h>

#include <chrono>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <gofer/gofer.hpp>
#include <gofer/http.hpp>
#include <gofer/net.hpp>
#include <gofer/testing.hpp>

#include "arch/sanitizer.hpp"

namespace {

using namespace std::chrono_literals;
namespace http = gofer::http;

#if defined(GOFER_TSAN) || defined(GOFER_ASAN)
constexpr std::size_t schedules = 500;
#else
constexpr std::size_t schedules = 20'000;
#endif

/// All that comes, to the end or to an error.
std::string read_all(gofer::net::connection& c) {
  std::string all;
  std::byte part[512];
  std::error_code error;
  while (const std::size_t got = c.read_some(part, error)) {
    all.append(reinterpret_cast<const char*>(part), got);
  }
  return all;
}

/// Sends a request and returns what is answered; what came until then if the network fails.
std::string ask(std::string_view request) {
  try {
    auto c = gofer::net::dial("example.test:80", 1s);
    c.set_deadline(gofer::sched::now() + 10s);
    std::error_code error;
    c.write(std::as_bytes(std::span(request)), error);
    return read_all(c);
  } catch (const std::system_error&) {
    return "";
  }
}

/// Two clients ask for /hello at once, and `check` what each of them gets.
template <class F>
void two_clients(F check) {
  gofer::wait_group clients;
  for (int i = 0; i < 2; ++i) {
    clients.go([&] { check(ask("GET /hello HTTP/1.1\r\nHost: example.test\r\nConnection: close\r\n\r\n")); });
  }
  clients.wait();
}

TEST(ServerExplored, AnswersEveryRequestOnAGoodNetwork) {
  gofer::testing::explore(
      [] {
        const gofer::testing::net network;
        http::server server({.address = "example.test:80"});
        server.handle("GET /hello", [](http::request&, http::response& r) { r.write("hello"); });
        server.start();
        two_clients([](const std::string& answer) {
          EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
          EXPECT_TRUE(answer.ends_with("\r\n\r\nhello")) << answer;
        });
        EXPECT_TRUE(server.shutdown(1s));
        EXPECT_EQ(server.stats().requests, 2U);
        EXPECT_EQ(server.stats().connections, 0U);
      },
      {.schedules = schedules});
}

TEST(ServerExplored, WhatItsHandlersHoldIsGoneWhenTheServerIs) {
  gofer::testing::explore(
      [] {
        const gofer::testing::net network;
        auto of_handler = std::make_shared<std::string>("hello");
        auto of_middleware = std::make_shared<std::string>("around");
        const std::weak_ptr<std::string> handles = of_handler;
        const std::weak_ptr<std::string> is_around = of_middleware;
        {
          http::server server({.address = "example.test:80"});
          server.handle("GET /hello",
                        [kept = std::move(of_handler)](http::request&, http::response& r) { r.write(*kept); });
          server.use([kept = std::move(of_middleware)](http::request&, http::response& r, const auto& next) {
            r.header("X-Kept", *kept);
            next();
          });
          server.start();
          two_clients([](const std::string& answer) { EXPECT_NE(answer.find("hello"), std::string::npos); });
        }
        EXPECT_TRUE(handles.expired());
        EXPECT_TRUE(is_around.expired());
      },
      {.schedules = schedules});
}

TEST(ServerExplored, WhatHandlersLeftInTheirWorkersIsGoneWhenTheServerIs) {
  static int alive;
  struct counted {
    counted() { ++alive; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
    ~counted() { --alive; }
  };
  static const gofer::fiber_local<counted> kept;
  gofer::testing::explore(
      [] {
        alive = 0;
        const gofer::testing::net network;
        {
          http::server server({.address = "example.test:80", .workers = 1});
          server.handle("GET /hello", [](http::request&, http::response& r) {
            (void)*kept;
            r.write("hello");
          });
          server.start();
          two_clients([](const std::string& answer) { EXPECT_TRUE(answer.ends_with("hello")) << answer; });
        }
        EXPECT_EQ(alive, 0);
      },
      {.schedules = schedules});
}

TEST(ServerExplored, AShutdownAnswersWhatItHasTakenOrNothing) {
  gofer::testing::explore(
      [] {
        const gofer::testing::net network;
        http::server server({.address = "example.test:80"});
        int handled = 0;
        server.handle("GET /hello", [&](http::request&, http::response& r) {
          gofer::sleep_for(1ms);
          ++handled;
          r.write("hello");
        });
        server.start();
        gofer::wait_group client;
        int answered = 0;
        client.go([&] {
          const std::string answer = ask("GET /hello HTTP/1.1\r\nHost: example.test\r\n\r\n");
          if (answer.ends_with("\r\n\r\nhello")) ++answered;
          EXPECT_TRUE(answer.empty() || answer.ends_with("\r\n\r\nhello")) << answer;
        });
        gofer::sleep_for(1ms);
        server.shutdown(1s);
        client.wait();
        EXPECT_EQ(answered, handled);
        EXPECT_EQ(server.stats().connections, 0U);
      },
      {.schedules = schedules});
}

TEST(ServerExplored, LosesNoConnectionWhenTheNetworkFails) {
  gofer::testing::explore(
      [] {
        const gofer::testing::net network({.reset = 0.2, .vanish = 0.2});
        http::server server({.address = "example.test:80",
                             .header_timeout = 2s,
                             .read_timeout = 2s,
                             .write_timeout = 2s,
                             .idle_timeout = 2s});
        server.handle("GET /hello", [](http::request&, http::response& r) { r.write("hello"); });
        server.start();
        two_clients([](const std::string& answer) {
          EXPECT_TRUE(answer.empty() || answer.starts_with(std::string("HTTP/1.1 200 OK\r\n").substr(0, answer.size())))
              << answer;
        });
        gofer::sleep_for(10s);  // all time limits are over
        EXPECT_EQ(server.stats().connections, 0U);
        EXPECT_TRUE(server.shutdown(1s));
      },
      {.schedules = schedules});
}

/// Uploads what `parts` say, with pauses in between, and returns what is answered; what came until then if the network
/// fails.
std::string upload(std::initializer_list<std::string_view> parts) {
  try {
    auto c = gofer::net::dial("example.test:80", 1s);
    c.set_deadline(gofer::sched::now() + 10s);
    std::error_code error;
    for (const std::string_view part : parts) {
      c.write(std::as_bytes(std::span(part)), error);
      if (!error) gofer::sleep_for(1ms);
    }
    return read_all(c);
  } catch (const std::system_error&) {
    return "";
  }
}

constexpr std::string_view upload_head =
    "PUT /sum HTTP/1.1\r\nHost: example.test\r\nContent-Length: 6\r\nConnection: close\r\n\r\n";

/// Counts the bytes of a streamed body in a fiber of the handler's, as its own waits for that or for the client to
/// leave.
void count_bytes(http::request& q, http::response& r) {
  std::size_t bytes = 0;
  const gofer::chan<bool> whole(1);
  gofer::wait_group reading;
  reading.go([&] {
    try {
      for (std::string_view part; !(part = q.read_body()).empty();) bytes += part.size();
      whole.send(true);
    } catch (const std::exception&) {
      whole.send(false);
    }
  });
  const std::stop_token token = q.token();
  gofer::select(gofer::on_receive(whole), gofer::on_stop(token));
  reading.wait();
  r.write(std::to_string(bytes));
}

TEST(ServerExplored, ABodyIsReadWhileTheClientIsWatched) {
  gofer::testing::explore(
      [] {
        const gofer::testing::net network;
        http::server server({.address = "example.test:80"});
        server.handle("PUT /sum", [](http::request& q, http::response& r) { count_bytes(q, r); },
                      {.stream_body = true});
        server.start();
        const std::string answer = upload({upload_head, "abc", "def"});
        EXPECT_TRUE(answer.ends_with("\r\n\r\n6")) << answer;
        EXPECT_TRUE(server.shutdown(1s));
        EXPECT_EQ(server.stats().active, 0U);
      },
      {.schedules = schedules});
}

TEST(ServerExplored, ABodyOnABadNetworkEndsInAnAnswerOrAnError) {
  gofer::testing::explore(
      [] {
        const gofer::testing::net network({.reset = 0.3, .vanish = 0.2});
        http::server server(
            {.address = "example.test:80", .header_timeout = 2s, .read_timeout = 2s, .write_timeout = 2s});
        server.handle("PUT /sum", [](http::request& q, http::response& r) { count_bytes(q, r); },
                      {.stream_body = true});
        server.start();
        (void)upload({upload_head, "abc", "def"});
        gofer::sleep_for(70s);  // all time limits are over
        EXPECT_EQ(server.stats().active, 0U);
        EXPECT_EQ(server.stats().connections, 0U);
        EXPECT_TRUE(server.shutdown(1s));
      },
      {.schedules = schedules});
}

TEST(ServerExplored, AClientThatLeavesAmidItsBodyIsNoticed) {
  gofer::testing::explore(
      [] {
        const gofer::testing::net network;
        http::server server({.address = "example.test:80"});
        bool ended = false;
        server.handle("PUT /sum",
                      [&](http::request& q, http::response& r) {
                        count_bytes(q, r);
                        ended = true;
                      },
                      {.stream_body = true});
        server.start();
        {
          auto c = gofer::net::dial("example.test:80", 1s);
          c.write(std::as_bytes(std::span(upload_head)));
        }
        gofer::sleep_for(1s);
        EXPECT_TRUE(ended);
        EXPECT_EQ(server.stats().connections, 0U);
        EXPECT_TRUE(server.shutdown(1s));
      },
      {.schedules = schedules});
}

TEST(ServerExplored, EventsThatNeverEndEndWithTheShutdown) {
  gofer::testing::explore(
      [] {
        const gofer::testing::net network;
        http::server server({.address = "example.test:80"});
        server.handle("GET /hello", [&](http::request& q, http::response& r) {
          http::event_stream events(r);
          const gofer::ticker t(1ms);
          while (gofer::select(gofer::on_receive(t.ticks()), gofer::on_stop(q.token()),
                               gofer::on_stop(server.shutdown_token())) == 0) {
            events.send("tick");
          }
        });
        server.start();
        gofer::wait_group client;
        client.go([] {
          const std::string answer = ask("GET /hello HTTP/1.1\r\nHost: example.test\r\n\r\n");
          EXPECT_TRUE(answer.empty() || answer.ends_with("0\r\n\r\n")) << answer;
        });
        gofer::sleep_for(2ms);
        EXPECT_TRUE(server.shutdown(1s));
        client.wait();
        EXPECT_EQ(server.stats().connections, 0U);
      },
      {.schedules = schedules});
}

TEST(ServerExplored, ALimitInTimeAnswersOnce) {
  gofer::testing::explore(
      [] {
        const gofer::testing::net network;
        http::server server({.address = "example.test:80"});
        server.handle("GET /hello", http::within(5ms, [](http::request& q, http::response& r) {
                        gofer::sleep_for(5ms, q.token());
                        r.write("hello");
                      }));
        server.start();
        two_clients([](const std::string& answer) {
          EXPECT_TRUE(answer.ends_with("\r\n\r\nhello") ||
                      (answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("this took too long\n")))
              << answer;
        });
        EXPECT_TRUE(server.shutdown(1s));
        EXPECT_EQ(server.stats().requests, 2U);
      },
      {.schedules = schedules});
}

}  // namespace
