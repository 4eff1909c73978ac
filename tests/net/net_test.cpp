#include <gofer/net.hpp>

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <system_error>
#include <vector>

#include <gofer/go.hpp>
#include <gofer/latch.hpp>
#include <gofer/time.hpp>
#include <gofer/wait_group.hpp>

#include "arch/sanitizer.hpp"
#include "net/address.hpp"
#include "net/network.hpp"
#include "support/callers.hpp"
#include "support/silent_port.hpp"

namespace {

using namespace std::chrono_literals;
namespace net = gofer::net;
using Net = test::ForCallers;
FOR_ALL_CALLERS(Net);

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string read_all(net::connection& c) {
  std::string all;
  char part[1000];
  while (const std::size_t got = c.read_some(std::as_writable_bytes(std::span(part)))) all.append(part, got);
  return all;
}

std::error_code error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::system_error& e) {
    return e.code();
  }
  return {};
}

/// Serves every connection in a fiber of its own, until it goes out of scope.
class server {
 public:
  explicit server(std::function<void(net::connection&)> serve) : listener_(net::listener::listen("127.0.0.1:0")) {
    accepting_.go([this, serve = std::move(serve)] {
      for (;;) {
        try {
          gofer::go([serve, c = listener_.accept()]() mutable { serve(c); });
        } catch (const std::system_error&) {
          return;
        }
      }
    });
  }
  ~server() {
    listener_.close();
    accepting_.wait();
  }
  std::string address() const { return listener_.address(); }

 private:
  net::listener listener_;
  gofer::wait_group accepting_;
};

TEST_P(Net, EchoesFromManyClients) {
  const server echo([](net::connection& c) {
    std::byte part[100];
    while (const std::size_t got = c.read_some(part)) c.write(std::span(part, got));
  });
  test::run_in(GetParam(), 20, [&](int i) {
    auto c = net::dial(echo.address(), 10s);
    EXPECT_EQ(c.remote_address(), echo.address());
    for (int k = 0; k < test::times(100); ++k) {
      const std::string said = std::to_string(i) + "/" + std::to_string(k);
      c.write(bytes(said));
      std::string heard;
      char part[100];
      while (heard.size() < said.size()) heard.append(part, c.read_some(std::as_writable_bytes(std::span(part))));
      EXPECT_EQ(heard, said);
    }
    c.shutdown_write();
    EXPECT_EQ(read_all(c), "");
  });
}

TEST_P(Net, LargeWritesWaitForTheReader) {
  auto listener = net::listener::listen("[::1]:0");
  const std::string large(8 << 20, 'x');
  test::run_in(GetParam(), 2, [&](int i) {
    if (i == 0) {
      auto c = listener.accept();
      c.write(bytes(large));
    } else {
      auto c = net::dial(listener.address(), 10s);
      EXPECT_EQ(read_all(c).size(), large.size());
    }
  });
}

TEST_P(Net, WritesOfSeveralAreNotMixed) {
  auto listener = net::listener::listen("127.0.0.1:0");
  auto client = net::dial(listener.address(), 10s);
  auto server = listener.accept();
  auto reading = gofer::run([&] {
    gofer::wait_group writers;
    std::string all;
    writers.go([&] { all = read_all(client); });
    test::run_in(GetParam(), 4, [&](int i) {
      const std::string line = std::string(200'000, static_cast<char>('a' + i)) + "\n";
      for (int k = 0; k < 3; ++k) server.write(bytes(line));
    });
    server.close();
    writers.wait();
    return all;
  });
  EXPECT_EQ(reading.size(), 12U * 200'001U);
  for (std::size_t at = 0; at < reading.size(); at += 200'001) {
    EXPECT_EQ(reading.substr(at, 200'001), std::string(200'000, reading[at]) + "\n");
  }
}

// What a read leaves nothing of is not asked for again before there is more; the end must be seen all the same.
TEST_P(Net, AnEndIsSeenHoweverItComes) {
  auto listener = net::listener::listen("127.0.0.1:0");
  test::run_in(GetParam(), 1, [&](int) {
    for (int i = 0; i < test::times(2000); ++i) {
      auto client = net::dial(listener.address(), 10s);
      auto server = listener.accept();
      client.set_read_deadline(std::chrono::steady_clock::now() + 20s);
      server.write(bytes("abc"));
      std::error_code error;
      std::array<std::byte, 100> part{};
      const std::string first(i % 3 == 0 ? client.read_some(part, error) : 0, ' ');
      EXPECT_EQ(first.size(), i % 3 == 0 ? 3U : 0U);
      if (i % 2 == 0) server.write(bytes("def"));
      server.close();  // with the last of the data, or after it was read
      const std::string rest = read_all(client);
      EXPECT_EQ(first.size() + rest.size(), i % 2 == 0 ? 6U : 3U) << rest;
    }
  });
}

TEST_P(Net, WhatHasComeIsReadThoughItsTimeIsUp) {
  auto listener = net::listener::listen("127.0.0.1:0");
  test::run_in(GetParam(), 1, [&](int) {
    auto client = net::dial(listener.address(), 10s);
    auto server = listener.accept();
    std::error_code error;
    std::array<std::byte, 100> part{};
    for (int i = 0; i < 100; ++i) {
      server.write(bytes("abc"));
      client.set_read_deadline(std::chrono::steady_clock::time_point::min());
      EXPECT_EQ(client.read_some(part, error), 3U) << error.message();
      EXPECT_EQ(client.read_some(part, error), 0U);
      EXPECT_EQ(error, std::errc::timed_out);
    }
  });
}

TEST_P(Net, ADeadlineEndsAWaitAlsoOneThatHasBegun) {
  auto listener = net::listener::listen("127.0.0.1:0");
  test::run_in(GetParam(), 2, [&](int) {
    auto c = net::dial(listener.address(), 10s);
    std::byte part[10];
    c.set_deadline(std::chrono::steady_clock::now() + 3ms);
    EXPECT_EQ(error_of([&] { (void)c.read_some(part); }), std::errc::timed_out);
    c.set_deadline(std::chrono::steady_clock::time_point::max());
    gofer::wait_group other;  // which has to be done with the connection before that goes
    other.go([&] {
      gofer::sleep_for(1ms);
      c.set_deadline(std::chrono::steady_clock::now());
    });
    EXPECT_EQ(error_of([&] { (void)c.read_some(part); }), std::errc::timed_out);
    other.wait();
  });
}

TEST_P(Net, WaitsForWhatCanBeReadWithoutReadingIt) {
  test::run_in(GetParam(), 10, [](int) {
    gofer::latch go_on(1);
    server s([&](net::connection& c) {
      c.write(bytes("a"));
      go_on.wait();
      c.write(bytes("b"));
      c.shutdown_write();
      std::byte end;
      c.read_some(std::span(&end, 1));
    });
    auto c = net::dial(s.address(), 10s);
    std::error_code error;
    std::array<std::byte, 10> into;
    EXPECT_TRUE(c.wait_readable(error));
    EXPECT_EQ(c.read_some(into), 1U);
    c.set_read_deadline(std::chrono::steady_clock::now() + 1ms);
    EXPECT_FALSE(c.wait_readable(error) && c.read_some(into, error) != 0);
    EXPECT_EQ(error, std::errc::timed_out);
    c.set_read_deadline(std::chrono::steady_clock::time_point::max());
    go_on.count_down();
    EXPECT_TRUE(c.wait_readable(error));
    EXPECT_EQ(c.read_some(into), 1U);
    EXPECT_TRUE(c.wait_readable(error)) << error.message();
    EXPECT_EQ(c.read_some(into), 0U);
    c.close();
    EXPECT_FALSE(c.wait_readable(error));
    EXPECT_EQ(error, std::errc::operation_canceled);
  });
}

TEST_P(Net, ClosingWakesWhoeverWaits) {
  auto listener = net::listener::listen("127.0.0.1:0");
  auto client = net::dial(listener.address(), 10s);
  auto server = listener.accept();
  std::atomic<int> begun{0};
  test::run_in(GetParam(), 5, [&](int i) {
    std::byte part[10];
    if (i == 4) {
      while (begun != 4) gofer::yield();
      gofer::sleep_for(2ms);
      server.close();
      listener.close();
      server.close();
      return;
    }
    ++begun;
    const auto wait = [&] { i % 2 == 0 ? (void)server.read_some(part) : (void)listener.accept(); };
    EXPECT_EQ(error_of(wait), std::errc::operation_canceled);
  });
  EXPECT_EQ(read_all(client), "");
  EXPECT_EQ(error_of([&] { server.write(bytes("x")); }), std::errc::operation_canceled);
}

// Also while an accept is under way, which has yet to hear of it.
TEST(NetListener, LetsNobodyInOnceItIsClosed) {
  for (int k = 0; k < test::times(500); ++k) {
    net::listener listener = net::listener::listen("127.0.0.1:0");
    const std::string address = listener.address();
    std::atomic<bool> accepting{false};
    gofer::wait_group one;
    one.go([&] {
      accepting = true;
      EXPECT_EQ(error_of([&] { (void)listener.accept(); }), std::errc::operation_canceled);
    });
    while (!accepting) gofer::yield();
    if (k % 2 == 0) gofer::sleep_for(50us);
    listener.close();
    EXPECT_THROW(net::dial(address, 10s), std::system_error);
    one.wait();
  }
}

TEST(NetErrors, SayWhichAddress) {
  auto taken = net::listener::listen("127.0.0.1:0");
  try {
    net::listener::listen(taken.address());
    ADD_FAILURE();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::address_in_use);
    EXPECT_NE(std::string(e.what()).find("cannot listen on " + taken.address()), std::string::npos) << e.what();
  }
  const std::string address = taken.address();
  taken.close();
  try {
    net::dial(address, 1s);
    ADD_FAILURE();
  } catch (const std::system_error& e) {
    EXPECT_EQ(e.code(), std::errc::connection_refused);
    EXPECT_NE(std::string(e.what()).find("cannot connect to " + address), std::string::npos) << e.what();
  }
}

TEST(NetErrors, AddressesThatCannotBeReadAreRefused) {
  for (const char* wrong :
       {"", "8080", "localhost", ":8080", "::1:8080", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000", "[::1:80"}) {
    EXPECT_THROW(net::listener::listen(wrong), std::invalid_argument) << wrong;
  }
  EXPECT_THROW(net::dial("no-such-host.invalid:80", 1s), std::system_error);
}

TEST(NetErrors, AConnectionThatIsNoneSaysSo) {
  std::error_code error;
  EXPECT_FALSE(net::connection().wait_readable(error));
  EXPECT_EQ(error, std::errc::bad_file_descriptor);
  net::connection none;
  EXPECT_FALSE(none);
  std::byte part[1];
  EXPECT_EQ(error_of([&] { (void)none.read_some(part); }), std::errc::bad_file_descriptor);
  EXPECT_EQ(error_of([&] { none.write(part); }), std::errc::bad_file_descriptor);
  none.close();
  EXPECT_EQ(none.remote_address(), "");
}

TEST(NetErrors, WritingToAPeerThatIsGoneIsAnErrorAndNoSignal) {
  auto listener = net::listener::listen("127.0.0.1:0");
  auto client = net::dial(listener.address(), 10s);
  listener.accept().close();
  const std::string some(100'000, 'x');
  const auto error = error_of([&] {
    for (int i = 0; i < 1000; ++i) client.write(bytes(some));
  });
  EXPECT_TRUE(error == std::errc::broken_pipe || error == std::errc::connection_reset) << error;
}

TEST(NetNames, AreLookedUp) {
  auto listener = net::listener::listen("localhost:0");
  EXPECT_TRUE(net::dial(listener.address(), 10s));
}

TEST(NetNames, AnAddressThatDoesNotAnswerLeavesTimeForTheNext) {
  const test::silent_port silent;
  auto listener = net::listener::listen("127.0.0.1:0");
  const net::endpoint all[] = {silent.where(), net::resolve(listener.address()).front()};
  EXPECT_NE(net::dial_first(all, {.deadline = gofer::sched::now() + 2s}), nullptr);
  const auto error =
      error_of([&] { net::dial_first(std::span(all).first(1), {.deadline = gofer::sched::now() + 10ms}); });
  EXPECT_EQ(error, std::errc::timed_out);
}

TEST_P(Net, ADialEndsWithAStop) {
  const test::silent_port silent;
  test::run_in(GetParam(), 2, [&](int i) {
    std::stop_source stop;
    const gofer::timer soon(i * 10ms, [stop]() mutable { stop.request_stop(); });
    const auto error = error_of([&] { net::dial(net::to_string(silent.where()), 1h, stop.get_token()); });
    EXPECT_EQ(error, std::errc::operation_canceled);
  });
  auto listener = net::listener::listen("127.0.0.1:0");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(error_of([&] { net::dial(listener.address(), 1h, stop.get_token()); }), std::errc::operation_canceled);
}

#if !defined(GOFER_ASAN)  // UBSan opens a pipe to look at an object's type, and takes a failure for a wrong object

// Out of descriptors: accepting pauses, says so once, and goes on when there are some again.
TEST(NetDescriptors, AcceptingPausesWithoutThem) {
  auto listener = net::listener::listen("127.0.0.1:0");
  auto client = net::dial(listener.address(), 10s);
  gofer::run([] {});
  testing::internal::CaptureStderr();
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  // The standard streams keep the numbers below 3, so that none is free, whatever another thread closes: the one that
  // looks for deadlocks has a directory open for a moment.
  const rlimit few{.rlim_cur = 3, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  gofer::latch accepted(1);
  gofer::go([&] {
    listener.accept();
    accepted.count_down();
  });
  EXPECT_FALSE(accepted.wait_for(50ms));
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  accepted.wait();
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("Too many open files"), std::string::npos) << said;
  EXPECT_EQ(std::ranges::count(said, '\n'), 1) << said;
}

#endif

// Descriptors are opened and closed all the time, so numbers are used again: no event reaches the wrong connection.
TEST_P(Net, StressConnectionsComeAndGo) {
  const server once([](net::connection& c) {
    try {
      c.set_deadline(std::chrono::steady_clock::now() + 10s);
      std::byte part[64];
      const std::size_t got = c.read_some(part);
      c.write(std::span(part, got));
    } catch (const std::system_error&) {
      // the client was in a hurry
    }
  });
  test::run_in(GetParam(), 8, [&](int i) {
    for (int k = 0; k < test::times(300); ++k) {
      auto c = net::dial(once.address(), 10s);
      if (k % 5 == 0) continue;
      const std::string said = std::to_string(i * 1000 + k);
      c.write(bytes(said));
      EXPECT_EQ(read_all(c), said);
    }
  });
}

}  // namespace
