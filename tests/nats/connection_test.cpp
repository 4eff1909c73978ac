// Who we are to the servers, who they are to us, and what is said when that is wrong.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <string>

#include <gofer/gofer.hpp>
#include <gofer/nats_pool.hpp>
#include <gofer/nats_queue.hpp>

#include "support/certificates.hpp"
#include "support/nats_server.hpp"
#include "support/nkeys.hpp"

namespace {

using gofer::nats_options;
using gofer::nats_pool;
using testing::HasSubstr;

/// What is wrong with a connection; empty if a task gets through it and back.
std::string fault_of(const nats_options& server) {
  try {
    nats_pool<int, int> pool([](int i) { return i + 1; }, {.name = "test", .server = server});
    pool.submit(1);
    return pool.results().receive()->value() == 2 ? "" : "a wrong result";
  } catch (const gofer::nats_error& e) {
    return e.what();
  }
}

TEST(NatsConnection, NobodyIsThere) {
  nats_options nowhere{.servers = "nats://127.0.0.1:1"};
  EXPECT_THAT(fault_of(nowhere), HasSubstr("cannot connect to nats://127.0.0.1:1"));
  EXPECT_THROW(gofer::nats_queue("test", nowhere), gofer::nats_error);
}

TEST(NatsConnection, WithoutJetStream) {
  const nats_server server("jetstream: disabled");
  nats_options options = server.options();
  options.request_timeout = std::chrono::seconds(1);
  EXPECT_THAT(fault_of(options), HasSubstr("JetStream"));
}

TEST(NatsConnection, ByPassword) {
  const nats_server server("authorization { user: anna, password: \"secret\" }");
  nats_options options = server.options();
  EXPECT_THAT(fault_of(options), HasSubstr("cannot connect"));
  options.user = "anna";
  options.password = "wrong";
  EXPECT_THAT(fault_of(options), HasSubstr("uthorization"));
  options.password = "secret";
  EXPECT_EQ(fault_of(options), "");
}

TEST(NatsConnection, ByToken) {
  const nats_server server("authorization { token: \"t0ken\" }");
  nats_options options = server.options();
  options.token = "another";
  EXPECT_THAT(fault_of(options), HasSubstr("cannot connect"));
  options.token = "t0ken";
  EXPECT_EQ(fault_of(options), "");
}

TEST(NatsConnection, ByNKey) {
  const nkey ours(nkey::user);
  const nkey theirs(nkey::user);
  const nats_server server("authorization { users: [ { nkey: " + ours.public_key() + " } ] }");
  const auto with = [&](const nkey& k, const std::string& name) {
    nats_options options = server.options();
    options.nkey_seed_file = (server.folder() / name).string();
    std::ofstream(options.nkey_seed_file) << k.seed() << '\n' << k.public_key() << '\n';
    return fault_of(options);
  };
  EXPECT_THAT(with(theirs, "theirs"), HasSubstr("cannot connect"));
  EXPECT_EQ(with(ours, "ours"), "");
  nats_options options = server.options();
  options.nkey_seed_file = (server.folder() / "nothing").string();
  EXPECT_THROW(nats_pool<int>({.name = "test", .server = options}), std::invalid_argument);
}

TEST(NatsConnection, ByCredentials) {
  const nkey top(nkey::operator_);
  const nkey account(nkey::account);
  const nkey user(nkey::user);
  const std::string of_top =
      top.token(R"({"jti":"1","iat":1700000000,"iss":")" + top.public_key() + R"(","name":"O","sub":")" +
                top.public_key() + R"(","nats":{"type":"operator","version":2}})");
  const nkey system(nkey::account);
  const auto account_token = [&](const nkey& of, const std::string& jetstream) {
    return top.token(
        R"({"jti":"2","iat":1700000000,"iss":")" + top.public_key() + R"(","name":"A","sub":")" + of.public_key() +
        R"(","nats":{"type":"account","version":2,"limits":{"subs":-1,"data":-1,"payload":-1,"imports":-1,)"
        R"("exports":-1,"wildcards":true,"conn":-1,"leaf":-1)" +
        jetstream + "}}}");
  };
  const std::string of_user =
      account.token(R"({"jti":"3","iat":1700000000,"iss":")" + account.public_key() + R"(","name":"U","sub":")" +
                    user.public_key() + R"(","nats":{"type":"user","version":2,"subs":-1,"data":-1,"payload":-1}})");
  const nats_server server("operator: " + of_top + "\nsystem_account: " + system.public_key() +
                           "\nresolver: MEMORY\nresolver_preload: { " + account.public_key() + ": " +
                           account_token(account, R"(,"mem_storage":-1,"disk_storage":-1,"streams":-1,"consumer":-1)") +
                           ", " + system.public_key() + ": " + account_token(system, "") + " }");
  nats_options options = server.options();
  EXPECT_THAT(fault_of(options), HasSubstr("cannot connect"));
  options.credentials_file = (server.folder() / "user.creds").string();
  std::ofstream(options.credentials_file) << "-----BEGIN NATS USER JWT-----\n"
                                          << of_user << "\n------END NATS USER JWT------\n\n"
                                          << "-----BEGIN USER NKEY SEED-----\n"
                                          << user.seed() << "\n------END USER NKEY SEED------\n";
  EXPECT_EQ(fault_of(options), "");
}

TEST(NatsConnection, ByTls) {
  self_signed_certificates folder;
  const certificate_files theirs = folder.make("localhost", "IP:127.0.0.1");
  const certificate_files ours = folder.make("client", "DNS:client");
  const nats_server server("tls { cert_file: \"" + theirs.certificate + "\", key_file: \"" + theirs.key +
                           "\", ca_file: \"" + ours.certificate + "\", verify: true }");
  nats_options options = server.options();
  EXPECT_THAT(fault_of(options), HasSubstr("cannot connect")) << "the server wants TLS";
  options.tls = true;
  EXPECT_THAT(fault_of(options), HasSubstr("cannot connect")) << "nobody that we trust speaks for it";
  options.tls_ca_file = theirs.certificate;
  EXPECT_THAT(fault_of(options), HasSubstr("cannot connect")) << "it wants a certificate of ours";
  options.tls_certificate_file = ours.certificate;
  options.tls_key_file = ours.key;
  EXPECT_EQ(fault_of(options), "");
  options.tls_server_name = "elsewhere";
  EXPECT_THAT(fault_of(options), HasSubstr("cannot connect")) << "it is somebody else";
}

TEST(NatsConnection, MuchOverTls) {
  self_signed_certificates folder;
  const certificate_files theirs = folder.make("localhost", "IP:127.0.0.1");
  const nats_server server("tls { cert_file: \"" + theirs.certificate + "\", key_file: \"" + theirs.key + "\" }");
  nats_options options = server.options();
  options.tls = true;
  options.tls_ca_file = theirs.certificate;
  std::atomic<std::size_t> bytes{0};
  nats_pool<std::string> pool([&](const std::string& s) { bytes += s.size(); }, {.name = "test", .server = options});
  for (int i = 1; i <= 20; ++i) pool.submit(std::string(static_cast<std::size_t>(i) * 40'000, 'x'));
  pool.drain();
  EXPECT_EQ(bytes, 210U * 40'000);
}

}  // namespace
