// HTTPS between our server and our client, and what neither must accept.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <system_error>

#include <gofer/gofer.hpp>
#include <gofer/http_client.hpp>

#include "support/callers.hpp"
#include "support/certificates.hpp"
#include "support/http_client.hpp"

namespace {

using namespace std::chrono_literals;
using gofer::http::client;
using gofer::http::request;
using gofer::http::response;
using gofer::http::server;
using gofer::http::tls_files;

/// Certificates as the server takes them.
class certificates : private self_signed_certificates {
 public:
  tls_files make(const std::string& name, const std::string& for_whom) {
    const certificate_files made = self_signed_certificates::make(name, for_whom);
    return {.certificate = made.certificate, .key = made.key};
  }
};

class Tls : public testing::Test {
 protected:
  void start(tls_files files, gofer::http::server_options options = {}) {
    options.address = "127.0.0.1:0";
    options.tls = std::move(files);
    server_.emplace(std::move(options));
    server_->handle("POST /echo", [](request& q, response& r) { r.write(q.body()); });
    server_->handle("GET /hello", [](request&, response& r) { r.write("hello"); });
    server_->handle("GET /stream", [](request&, response& r) {
      for (int i = 0; i < 50; ++i) {
        r.write(std::string(10'000, 'x'));
        r.flush();
      }
    });
    server_->start();
  }
  std::string url(const std::string& path) { return "https://" + server_->address() + path; }
  /// Why asking fails.
  std::string failure(client& c, const std::string& of) {
    try {
      c.get(of);
      return "it does not";
    } catch (const std::system_error& e) {
      return e.what();
    }
  }

  certificates made_;
  const tls_files ours_ = made_.make("ours", "IP:127.0.0.1");
  std::optional<server> server_;
};

TEST_F(Tls, CarriesRequestsAndAnswers) {
  start(ours_);
  client c({.ca_file = ours_.certificate});
  EXPECT_EQ(c.get(url("/hello")).body(), "hello");
  const std::string large(1'000'000, 'y');
  EXPECT_EQ(c.post(url("/echo"), large).body(), large);
  EXPECT_EQ(c.get(url("/stream")).body().size(), 500'000U);
  EXPECT_EQ(server_->stats().accepted, 1U) << "one connection for all";
}

TEST_F(Tls, ServesManyAtOnce) {
  start(ours_);
  client c({.ca_file = ours_.certificate});
  test::run_in(test::callers::mixed, 30, [&](int i) {
    for (int k = 0; k < 20; ++k) {
      const std::string text = std::string(static_cast<std::size_t>(i * 100), 'a') + std::to_string(k);
      EXPECT_EQ(c.post(url("/echo"), text).body(), text);
    }
  });
}

TEST_F(Tls, AClientTrustsNobodyElse) {
  start(ours_);
  client without;
  EXPECT_NE(failure(without, url("/hello")).find("self-signed certificate"), std::string::npos);
  const tls_files others = made_.make("others", "IP:127.0.0.1");
  client of_others({.ca_file = others.certificate});
  EXPECT_NE(failure(of_others, url("/hello")).find("certificate"), std::string::npos);
  EXPECT_EQ(server_->stats().requests, 0U) << "nothing is asked of who is not trusted";
}

TEST_F(Tls, ACertificateIsForItsHostAlone) {
  const tls_files elsewhere = made_.make("elsewhere", "DNS:elsewhere.test");
  start(elsewhere);
  client c({.ca_file = elsewhere.certificate});
  EXPECT_NE(failure(c, url("/hello")).find("IP address mismatch"), std::string::npos) << failure(c, url("/hello"));
  const std::string by_name = "https://localhost" + server_->address().substr(server_->address().rfind(':'));
  EXPECT_NE(failure(c, by_name + "/hello").find("hostname mismatch"), std::string::npos);
}

TEST_F(Tls, CertificatesAreReadAgain) {
  start(ours_);
  client before({.ca_file = ours_.certificate});
  EXPECT_EQ(before.get(url("/hello")).body(), "hello");
  const tls_files fresh = made_.make("fresh", "IP:127.0.0.1");
  std::filesystem::copy_file(fresh.certificate, ours_.certificate, std::filesystem::copy_options::overwrite_existing);
  try {
    server_->reload_certificate();
    FAIL() << "the key is of another";
  } catch (const std::system_error& e) {
    EXPECT_NE(std::string(e.what()).find(ours_.key), std::string::npos) << e.what();
  }
  EXPECT_EQ(before.get(url("/hello")).body(), "hello") << "goes on with what it had";
  std::filesystem::copy_file(fresh.key, ours_.key, std::filesystem::copy_options::overwrite_existing);
  server_->reload_certificate();
  EXPECT_EQ(before.get(url("/hello")).body(), "hello") << "connections stay";
  client after({.ca_file = fresh.certificate});
  EXPECT_EQ(after.get(url("/hello")).body(), "hello");
}

TEST_F(Tls, WhatIsNoTlsIsClosed) {
  start(ours_);
  test::http_client plain(server_->address());
  plain.send(test::get("/hello"));
  EXPECT_EQ(plain.rest().find("hello"), std::string::npos);
  test::http_client silent(server_->address());
  silent.connection().shutdown_write();
  (void)silent.rest();

  server without({.address = "127.0.0.1:0"});
  without.start();
  client c({.ca_file = ours_.certificate});
  EXPECT_NE(failure(c, "https://" + without.address() + "/").find("wrong version number"), std::string::npos);
  EXPECT_EQ(c.get(url("/hello")).body(), "hello");
}

TEST_F(Tls, AMessageThatIsCutShortIsNoEnd) {
  start(ours_);
  // In between sits one who passes on what it gets, and then breaks the line.
  auto between = gofer::net::listener::listen("127.0.0.1:0");
  auto passing = gofer::async([&] {
    auto from = between.accept();
    auto to = gofer::net::dial(server_->address(), 5s);
    gofer::wait_group both;
    const auto pass = [](gofer::net::connection& a, gofer::net::connection& b, std::size_t most) {
      std::array<std::byte, 1000> part;
      std::error_code error;
      for (std::size_t sum = 0; sum < most;) {
        const std::size_t got = a.read_some(part, error);
        if (got == 0) break;
        sum += got;
        b.write(std::span(part).first(got), error);
      }
      b.shutdown_write();
    };
    both.go([&] { pass(from, to, 1'000'000); });
    pass(to, from, 100'000);
    from.close();
    to.close();
    both.wait();
  });
  client c({.ca_file = ours_.certificate});
  EXPECT_THROW(c.get("https://" + between.address() + "/stream"), std::system_error);
  passing.wait();
}

TEST_F(Tls, WhoIsTurnedAwayHasSoMuchTimeForAHandshake) {
  start(ours_, {.max_connections = 1, .write_timeout = 100ms});
  client c({.ca_file = ours_.certificate});
  EXPECT_EQ(c.get(url("/hello")).body(), "hello");
  test::http_client silent(server_->address());
  EXPECT_EQ(silent.rest(), "") << "closed";
  EXPECT_EQ(silent.error(), std::error_code());
  EXPECT_EQ(server_->stats().overloaded, 1U);
}

/// Of the other side of a connection, that it wants the keys changed, again and again; without reading what it says.
void ask_for_new_keys(const std::string& address) {
  const auto previous = std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes as to a file
  const int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{.tv_sec = 20, .tv_usec = 0};
  setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  const int small = 536;  // so that all buffers on the way fill soon
  setsockopt(s, IPPROTO_TCP, TCP_MAXSEG, &small, sizeof(small));
  setsockopt(s, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
  ASSERT_EQ(connect(s, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, s);
  ASSERT_EQ(SSL_connect(ssl), 1);
  const std::string begin = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n";
  ASSERT_GT(SSL_write(ssl, begin.data(), static_cast<int>(begin.size())), 0);
  const auto until = std::chrono::steady_clock::now() + patience.tv_sec * 1s;
  while (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl) == 1) {
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "this goes on for ever";
  }
  EXPECT_LT(std::chrono::steady_clock::now(), until) << "the server hangs";
  SSL_free(ssl);
  SSL_CTX_free(context);
  close(s);
  std::signal(SIGPIPE, previous);
}

TEST_F(Tls, WhoWantsKeysChangedAndReadsNothingHasSoMuchTime) {
  start(ours_, {.read_timeout = 200ms});
  gofer::blocking([&] { ask_for_new_keys(server_->address()); });
  while (server_->stats().connections != 0) gofer::sleep_for(1ms);
  EXPECT_EQ(server_->stats().requests, 0U);
}

TEST_F(Tls, AKeyWithAPasswordIsRefused) {
  const std::string locked = ours_.key + ".locked";
  const std::string command = "openssl pkey -aes256 -passout pass:secret -in " + ours_.key + " -out " + locked;
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  try {
    start({.certificate = ours_.certificate, .key = locked});
    FAIL();
  } catch (const std::system_error& e) {
    EXPECT_NE(std::string(e.what()).find(locked), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("password"), std::string::npos) << e.what();
  }
}

TEST_F(Tls, FilesThatAreNoneAreNamed) {
  try {
    start({.certificate = "/nowhere/cert.pem", .key = ours_.key});
    FAIL();
  } catch (const std::system_error& e) {
    EXPECT_NE(std::string(e.what()).find("/nowhere/cert.pem"), std::string::npos);
  }
  EXPECT_THROW(start({.certificate = ours_.key, .key = ours_.key}), std::system_error);
  EXPECT_THROW(client({.ca_file = "/nowhere/ca.pem"}), std::system_error);
}

}  // namespace
