// A server and a client when memory runs out.

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <iterator>
#include <optional>
#include <string>

#include <gofer/gofer.hpp>
#include <gofer/http.hpp>
#include <gofer/http_client.hpp>
#include <gofer/net.hpp>

#include "exhaustion/failing_allocations.hpp"

namespace {

using namespace std::chrono_literals;
using gofer::http::request;
using gofer::http::response;
using test::failing_allocations;
using test::with_each_allocation_failing;

std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
}

/// What a client sees of a server that lacks memory, or lacks itself, is its own business.
template <class F>
void perhaps(F f) {
  try {
    f();
  } catch (const std::exception&) {
  }
}

void serve_without_memory(std::size_t workers) {
  gofer::run([] {});
  const std::ptrdiff_t before = open_descriptors();
  {
    gofer::http::server server({.address = "127.0.0.1:0", .workers = workers});
    server.use(gofer::http::request_ids());
    server.handle("GET /x/{name}", [](request& q, response& r) {
      (void)q.token();
      r.write("a long hello to " + q.path_value("name"));
    });
    server.handle("POST /echo", [](request& q, response& r) { r.write(q.body()); });
    server.handle("POST /parts",
                  gofer::http::within(5s, gofer::http::at_most(5,
                                                               [](request& q, response& r) {
                                                                 gofer::http::event_stream events(r);
                                                                 for (auto part = q.read_body(); !part.empty();
                                                                      part = q.read_body())
                                                                   events.send(part);
                                                               })),
                  {.stream_body = true});
    server.handle("GET /stream", [](request&, response& r) {
      r.write(std::string(100, 'a')).flush();
      r.write(std::string(100, 'b'));
    });
    server.start();
    const std::string at = "http://" + server.address();
    {
      const failing_allocations from_here;
      std::optional<gofer::http::client> client;
      perhaps([&] { client.emplace(); });
      if (!client) return;
      perhaps([&] { (void)client->get(at + "/x/somebody-with-a-long-name"); });
      perhaps([&] { (void)client->post(at + "/echo", std::string(9000, 'x')); });
      perhaps([&] { (void)client->get(at + "/stream"); });
      perhaps([&] { (void)client->post(at + "/parts", std::string(9000, 'x')); });
      perhaps([&] { (void)client->get(at + "/none"); });
    }
    EXPECT_EQ(gofer::http::client().get(at + "/x/you").body(), "a long hello to you");
    EXPECT_EQ(gofer::http::client().get(at + "/stream").body().size(), 200U);
    EXPECT_TRUE(server.shutdown(5s));
    EXPECT_EQ(server.stats().active, 0U);
    EXPECT_EQ(server.stats().connections, 0U);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Allocation, ServersGoOn) {
  with_each_allocation_failing([] { serve_without_memory(0); });
}

TEST(Allocation, ServersWithWorkersGoOn) {
  with_each_allocation_failing([] { serve_without_memory(2); });
}

TEST(Allocation, ConnectionsAreMadeOrNot) {
  with_each_allocation_failing([] {
    gofer::run([] {});
    const std::ptrdiff_t before = open_descriptors();
    {
      const failing_allocations from_here;
      for (int i = 0; i < 3; ++i) {
        perhaps([] {
          auto listener = gofer::net::listener::listen("127.0.0.1:0");
          auto there = gofer::net::dial(listener.address(), 5s);
          auto here = listener.accept();
          const std::byte one{1};
          there.write(std::span(&one, 1));
          std::byte got{};
          EXPECT_EQ(here.read_some(std::span(&got, 1)), 1U);
        });
      }
    }
    EXPECT_EQ(open_descriptors(), before);
  });
}

}  // namespace
