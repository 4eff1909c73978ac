// The network in memory: what its users may rely on, and that its faults come.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <gofer/gofer.hpp>
#include <gofer/net.hpp>
#include <gofer/testing.hpp>

#include "arch/sanitizer.hpp"

namespace {

using namespace std::chrono_literals;
namespace net = gofer::net;
using gofer::testing::explore;

#if defined(GOFER_TSAN) || defined(GOFER_ASAN)
constexpr std::size_t schedules = 200;
#else
constexpr std::size_t schedules = 5'000;
#endif

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

/// All that comes, and how it ended.
std::pair<std::string, std::error_code> read_all(net::connection& c) {
  std::string all;
  std::byte part[100];
  std::error_code error;
  while (const std::size_t got = c.read_some(part, error)) all.append(reinterpret_cast<const char*>(part), got);
  return {all, error};
}

std::error_code error_of(const auto& f) {
  try {
    f();
  } catch (const std::system_error& e) {
    return e.code();
  }
  return {};
}

TEST(MemoryNet, CarriesAllInOrderInPartsAndInVirtualTime) {
  std::set<std::size_t> first_parts;
  bool late = false;
  explore(
      [&] {
        const gofer::testing::net network({.max_latency = 50ms});
        auto there = net::listener::listen("db.test:5432");
        EXPECT_EQ(there.address(), "db.test:5432");
        gofer::wait_group client;
        client.go([] {
          auto c = net::dial("db.test:5432", 1s);
          EXPECT_EQ(c.remote_address(), "db.test:5432");
          c.write(bytes("abc"));
          c.write(bytes("def"));
          c.shutdown_write();
          EXPECT_EQ(read_all(c).first, "answer");
        });
        const auto began = gofer::sched::now();
        auto c = there.accept();
        std::byte part[100];
        const std::size_t got = c.read_some(part);
        late = late || gofer::sched::now() - began >= 50ms;
        first_parts.insert(got);
        EXPECT_EQ(std::string(reinterpret_cast<const char*>(part), got) + read_all(c).first, "abcdef");
        c.write(bytes("answer"));
        c.close();
        client.wait();
      },
      {.schedules = schedules});
  EXPECT_TRUE(first_parts.contains(1));
  EXPECT_TRUE(first_parts.contains(6));
  EXPECT_TRUE(late);
}

TEST(MemoryNet, AWriterWaitsForAReader) {
  explore(
      [] {
        const gofer::testing::net network({.max_latency = 0ms, .buffer = 4});
        auto there = net::listener::listen("a.test:1");
        auto mine = net::dial("a.test:1", 1s);
        auto theirs = there.accept();
        mine.set_write_deadline(gofer::sched::now() + 1s);
        std::error_code error;
        mine.write(bytes("12345"), error);
        EXPECT_EQ(error, std::errc::timed_out);
        gofer::wait_group reader;
        reader.go([&] { EXPECT_EQ(read_all(theirs).first, "12345678901"); });
        mine.set_write_deadline(gofer::sched::now() + 1h);
        mine.write(bytes("5678901"));
        mine.close();
        reader.wait();
      },
      {.schedules = schedules / 5});
}

TEST(MemoryNet, TellsTheSameErrorsAsTheSystem) {
  explore(
      [] {
        const gofer::testing::net network({.max_latency = 0ms, .partial_reads = false});
        EXPECT_EQ(error_of([] { net::dial("nobody.test:1", 1s); }), std::errc::connection_refused);
        EXPECT_THROW(net::dial("no port", 1s), std::invalid_argument);
        auto there = net::listener::listen("127.0.0.1:0");
        EXPECT_EQ(error_of([&] { net::listener::listen(there.address()); }), std::errc::address_in_use);
        EXPECT_FALSE(there.try_accept());
        auto mine = net::dial("localhost:" + there.address().substr(10), 1s);
        auto theirs = there.accept();
        std::error_code error;
        mine.set_read_deadline(gofer::sched::now() + 1h);
        EXPECT_FALSE(mine.wait_readable(error));
        EXPECT_EQ(error, std::errc::timed_out);
        EXPECT_EQ(read_all(mine).second, std::errc::timed_out);
        theirs.write(bytes("x"));
        gofer::sleep_for(1ms);
        EXPECT_TRUE(mine.wait_readable(error));
        mine.close();  // without having read it
        EXPECT_FALSE(mine.wait_readable(error));
        EXPECT_EQ(error, std::errc::operation_canceled);
        EXPECT_EQ(read_all(mine).second, std::errc::operation_canceled);
        gofer::sleep_for(1ms);
        EXPECT_EQ(read_all(theirs).second, std::errc::connection_reset);
        gofer::wait_group waiting;
        waiting.go([&] { EXPECT_EQ(error_of([&] { there.accept(); }), std::errc::operation_canceled); });
        gofer::sleep_for(1ms);
        there.close();
        waiting.wait();
        EXPECT_EQ(error_of([&] { net::dial(there.address(), 1s); }), std::errc::connection_refused);
      },
      {.schedules = schedules / 5});
}

TEST(MemoryNet, FaultsAreDrawn) {
  std::size_t resets = 0;
  std::size_t vanished = 0;
  std::size_t unreachable = 0;
  std::size_t good = 0;
  explore(
      [&] {
        const gofer::testing::net network({.reset = 0.2, .vanish = 0.2});
        auto there = net::listener::listen("a.test:1");
        gofer::wait_group serving;
        serving.go([&] {
          std::error_code error;
          try {
            auto c = there.accept();
            c.set_deadline(gofer::sched::now() + 1min);
            std::byte part[1];
            if (c.read_some(part, error) == 1) c.write(part, error);
          } catch (const std::system_error&) {
            // closed
          }
        });
        try {
          auto c = net::dial("a.test:1", 1s);
          c.set_deadline(gofer::sched::now() + 1min);
          std::error_code error;
          c.write(bytes("x"), error);
          const auto [got, how] = read_all(c);
          resets += how == std::errc::connection_reset ? 1U : 0U;
          vanished += how == std::errc::timed_out ? 1U : 0U;
          good += got == "x" ? 1U : 0U;
        } catch (const std::system_error& e) {
          EXPECT_EQ(e.code(), std::errc::timed_out);
          ++unreachable;
        }
        there.close();
        serving.wait();
      },
      {.schedules = schedules});
  for (const std::size_t count : {resets, vanished, unreachable, good}) EXPECT_GT(count, schedules / 50);
}

TEST(MemoryNet, AServerWithoutTimeLimitsIsFound) {
  try {
    explore(
        [] {
          const gofer::testing::net network({.vanish = 0.01});
          auto there = net::listener::listen("a.test:1");
          gofer::wait_group serving;
          serving.go([&] {
            auto c = there.accept();
            read_all(c);  // waits for ever if the client has vanished
          });
          try {
            auto c = net::dial("a.test:1", 1s);
            std::error_code ignored;
            c.write(bytes("x"), ignored);
          } catch (const std::system_error&) {
            there.close();
          }
          serving.wait();
        },
        {.schedules = 10'000});
    FAIL() << "no schedule failed";
  } catch (const gofer::testing::schedule_failure& e) {
    EXPECT_NE(std::string(e.what()).find("waits in net::connection::read_some"), std::string::npos) << e.what();
  }
}

TEST(MemoryNet, RefusesWhatCannotBe) {
  explore(
      [] {
        using network = gofer::testing::net;
        EXPECT_THROW(network({.reset = 1.5}), std::invalid_argument);
        EXPECT_THROW(network({.vanish = -0.1}), std::invalid_argument);
        EXPECT_THROW(network({.buffer = 0}), std::invalid_argument);
      },
      {.schedules = 1});
}

TEST(MemoryNet, WhatTakesForEverNeverArrives) {
  explore(
      [] {
        const gofer::testing::net network(
            {.min_latency = std::chrono::nanoseconds::max(), .max_latency = std::chrono::nanoseconds::max()});
        auto there = net::listener::listen("example.test:80");
        EXPECT_EQ(error_of([] { net::dial("example.test:80", 1s); }), std::errc::timed_out);
      },
      {.schedules = 1});
}

TEST(MemoryNet, IsRefusedOutsideOfAnExploration) { EXPECT_THROW(gofer::testing::net(), std::logic_error); }

TEST(MemoryNet, IsOneInAnExploration) {
  explore(
      [] {
        const gofer::testing::net network;
        EXPECT_THROW(gofer::testing::net(), std::logic_error);
      },
      {.schedules = 1});
}

}  // namespace
