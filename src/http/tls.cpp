#include "http/tls.hpp"

#include <stdexcept>

#if defined(GOFER_TLS)

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <span>
#include <system_error>
#include <utility>

#include <gofer/detail/arch/cpu.hpp>
#include <gofer/mutex.hpp>

#include "net/network.hpp"

namespace gofer::inline v0::http {
namespace {

/// OpenSSL's reasons, and as negative numbers why a certificate is not trusted.
class tls_errors final : public std::error_category {
 public:
  const char* name() const noexcept override { return "TLS"; }
  std::string message(int value) const override {
    if (value < 0) return std::string("certificate: ") + X509_verify_cert_error_string(-value);
    const char* reason = ERR_reason_error_string(static_cast<unsigned long>(value));
    return reason != nullptr ? reason : "protocol error";
  }
};

std::error_code tls_error(long value) {
  static const tls_errors category;
  return {static_cast<int>(value), category};
}

/// The first of OpenSSL's errors on this thread, which are gone then.
std::error_code take_error() noexcept {
  const unsigned long first = ERR_get_error();
  ERR_clear_error();
  return tls_error(static_cast<long>(first));
}

/// OpenSSL keeps state for each thread. ThreadSanitizer, to which a fiber is a thread of its own, is told that those on
/// one thread take turns. Nobody waits, and so leaves the thread, while one of these lives.
class openssl_turn {
 public:
  openssl_turn() noexcept { arch::take_up(here()); }
  openssl_turn(const openssl_turn&) = delete;
  openssl_turn& operator=(const openssl_turn&) = delete;
  ~openssl_turn() { arch::hand_on(here()); }

 private:
  [[gnu::noinline]] static const void* here() noexcept {
    static thread_local char mark = 0;
    asm volatile("" ::: "memory");
    return &mark;
  }
};

struct free_ssl {
  void operator()(SSL* s) const noexcept {
    const openssl_turn turn;
    SSL_free(s);
  }
  void operator()(SSL_CTX* c) const noexcept { SSL_CTX_free(c); }
};
using ssl_ptr = std::unique_ptr<SSL, free_ssl>;
using context_ptr = std::unique_ptr<SSL_CTX, free_ssl>;

/// TLS between a connection and its socket. OpenSSL works on memory alone, under a lock and without a wait, so that no
/// fiber leaves its thread amid OpenSSL's thread-local errors; this moves the bytes.
class tls_socket final : public net::socket {
 public:
  tls_socket(ssl_ptr ssl, net::connection below) : ssl_(std::move(ssl)), below_(std::move(below)) {
    BIO* in = BIO_new(BIO_s_mem());
    BIO* out = BIO_new(BIO_s_mem());
    if (in == nullptr || out == nullptr) {
      BIO_free(in);
      BIO_free(out);
      throw std::bad_alloc();
    }
    SSL_set_bio(ssl_.get(), in, out);  // which owns them from now on
  }

  std::size_t read_some(std::span<std::byte> into, std::error_code& error) noexcept override {
    const std::scoped_lock turn(reading_);
    for (;;) {
      std::size_t got = 0;
      const int outcome = call([&](SSL* ssl) { return SSL_read_ex(ssl, into.data(), into.size(), &got); }, error);
      flush(error, net::direction::read);  // which may be the alert that says why there is an error
      if (outcome == SSL_ERROR_NONE) {
        error.clear();  // of sending: who reads has what there is to read
        return got;
      }
      if (outcome == SSL_ERROR_ZERO_RETURN || error) return 0;
      if (!feed(error, net::direction::read)) return 0;
    }
  }

  bool wait_readable(std::error_code& error) noexcept override {
    error.clear();
    return has_unread() || below_.wait_readable(error);
  }

  std::optional<bool> rest(std::error_code& error) noexcept override {
    error.clear();
    if (has_unread()) return true;
    return net::connection_access::of(below_).rest(error);
  }

  void write(std::span<const std::byte> all, std::error_code& error) noexcept override {
    const std::scoped_lock turn(writing_);
    error.clear();
    while (!all.empty()) {
      const auto part = all.first(std::min(all.size(), at_once));
      std::size_t taken = 0;
      const int outcome = call([&](SSL* ssl) { return SSL_write_ex(ssl, part.data(), part.size(), &taken); }, error);
      flush(error, net::direction::write);
      if (error) return;
      if (outcome == SSL_ERROR_NONE) {
        all = all.subspan(taken);
      } else if (!feed(error, net::direction::write)) {  // in a handshake
        return;
      }
    }
  }

  void set_deadline(net::direction d, sched::time_point at) noexcept override {
    const std::scoped_lock hold(deadlines_lock_);
    deadlines_[index(d)] = at;
    for (const net::direction each : {net::direction::read, net::direction::write}) {
      if (serves_[index(each)] == d) limit_below(each);
    }
  }

  void shutdown_write() noexcept override {
    std::error_code error;
    call([](SSL* ssl) { return SSL_shutdown(ssl); }, error);
    flush(error, net::direction::write);
    below_.shutdown_write();
  }
  void close() noexcept override { below_.close(); }
  std::string remote_address() override { return below_.remote_address(); }
  std::string local_address() override { return below_.local_address(); }

 private:
  static std::size_t index(net::direction d) noexcept { return static_cast<std::size_t>(d); }

  /// A read may have to write, and a write to read, as in handshakes. While one lives, what goes that way below has the
  /// deadline of those for whom it does.
  class on_behalf {
   public:
    on_behalf(tls_socket& s, net::direction below, net::direction of) noexcept : socket_(s), below_(below) {
      socket_.serve(below, of);
    }
    on_behalf(const on_behalf&) = delete;
    on_behalf& operator=(const on_behalf&) = delete;
    ~on_behalf() { socket_.serve(below_, below_); }

   private:
    tls_socket& socket_;
    const net::direction below_;
  };

  void serve(net::direction below, net::direction whom) noexcept {
    const std::scoped_lock hold(deadlines_lock_);
    if (std::exchange(serves_[index(below)], whom) != whom) limit_below(below);
  }

  void limit_below(net::direction d) noexcept {
    net::connection_access::of(below_).set_deadline(d, deadlines_[index(serves_[index(d)])]);
  }

  /// The peer has sent what nobody has read yet.
  bool has_unread() noexcept {
    const std::scoped_lock hold(lock_);
    return SSL_pending(ssl_.get()) != 0 || BIO_ctrl_pending(SSL_get_rbio(ssl_.get())) != 0;
  }
  static constexpr std::size_t at_once = 65536;

  /// Calls into OpenSSL; what SSL_get_error says of it. `error` is set if there is one.
  template <class Call>
  int call(Call f, std::error_code& error) noexcept {
    const std::scoped_lock hold(lock_);
    const openssl_turn turn;
    ERR_clear_error();
    error.clear();
    const int outcome = SSL_get_error(ssl_.get(), f(ssl_.get()));
    if (outcome != SSL_ERROR_SSL && outcome != SSL_ERROR_SYSCALL) return outcome;
    error = take_error();
    const long verified = SSL_get_verify_result(ssl_.get());
    if (verified != X509_V_OK && !SSL_is_server(ssl_.get())) error = tls_error(-verified);
    return SSL_ERROR_SSL;
  }

  /// Sends what OpenSSL has for the other side, for one who reads or writes. Keeps an error that there is.
  void flush(std::error_code& error, net::direction whom) noexcept {
    if (whom == net::direction::read && !has_unsent()) return;  // nor waits for who writes
    const std::scoped_lock turn(sending_);
    const on_behalf limited(*this, net::direction::write, whom);
    for (;;) {
      std::array<std::byte, 4096> part;
      int size = 0;
      {
        const std::scoped_lock hold(lock_);
        size = BIO_read(SSL_get_wbio(ssl_.get()), part.data(), static_cast<int>(part.size()));
      }
      if (size <= 0) return;
      // A record of which a part was not sent is lost, and the other side can make nothing of those behind it.
      if (!broken_) below_.write(std::span(part).first(static_cast<std::size_t>(size)), broken_);
      if (broken_ && !error) error = broken_;
    }
  }

  /// Waits for bytes from the other side, for one who reads or writes, and gives them to OpenSSL.
  bool feed(std::error_code& error, net::direction whom) noexcept {
    const on_behalf limited(*this, net::direction::read, whom);
    std::array<std::byte, 4096> part;
    const std::size_t got = below_.read_some(part, error);
    if (got == 0) {  // the end must be announced: else whoever cuts the line could cut the message short
      if (!error) error = std::make_error_code(std::errc::connection_reset);
      return false;
    }
    const std::scoped_lock hold(lock_);
    BIO_write(SSL_get_rbio(ssl_.get()), part.data(), static_cast<int>(got));
    return true;
  }

  bool has_unsent() noexcept {
    const std::scoped_lock hold(lock_);
    return BIO_ctrl_pending(SSL_get_wbio(ssl_.get())) != 0;
  }

  mutex reading_;
  mutex writing_;
  mutex sending_;
  std::error_code broken_;  // of sending; guarded by sending_
  mutex deadlines_lock_;
  std::array<sched::time_point, 2> deadlines_{sched::no_deadline, sched::no_deadline};  // guarded by it
  std::array<net::direction, 2> serves_{net::direction::read, net::direction::write};   // guarded by it
  mutex lock_;
  const ssl_ptr ssl_;  // guarded by lock_
  net::connection below_;
};

constexpr std::string_view protocol = "\x08http/1.1";

int choose_protocol(SSL* /*ssl*/, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void* /*unused*/) {
  unsigned char* found = nullptr;
  const auto* ours = reinterpret_cast<const unsigned char*>(protocol.data());
  const int outcome = SSL_select_next_proto(&found, size, ours, protocol.size(), offered, offered_size);
  *chosen = found;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

class openssl_context final : public tls_context {
 public:
  explicit openssl_context(bool server) : context_(make(server)) {
    if (context_ == nullptr) throw std::system_error(take_error(), "TLS cannot be set up");
    SSL_CTX* c = context_.get();
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20");
  }

  void serve_with(const std::string& certificate_file, const std::string& key_file) {
    SSL_CTX* c = context_.get();
    bool locked = false;
    SSL_CTX_set_default_passwd_cb_userdata(c, &locked);
    SSL_CTX_set_default_passwd_cb(c, refuse_to_ask);
    if (SSL_CTX_use_certificate_chain_file(c, certificate_file.c_str()) != 1) {
      throw std::system_error(take_error(), "cannot use the certificate in " + certificate_file);
    }
    if (SSL_CTX_use_PrivateKey_file(c, key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
      throw std::system_error(take_error(),
                              "cannot use the key in " + key_file + (locked ? ", which needs a password" : ""));
    }
    SSL_CTX_set_alpn_select_cb(c, choose_protocol, nullptr);
  }

  void trust(const std::string& ca_file) {
    SSL_CTX* c = context_.get();
    if (ca_file.empty()) {
      SSL_CTX_set_default_verify_paths(c);
    } else if (SSL_CTX_load_verify_locations(c, ca_file.c_str(), nullptr) != 1) {
      throw std::system_error(take_error(), "cannot use the certificates in " + ca_file);
    } else {
      prepare(SSL_CTX_get_cert_store(c));
    }
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_alpn_protos(c, reinterpret_cast<const unsigned char*>(protocol.data()), protocol.size());
  }

  net::connection wrap(net::connection below, const std::string& host) override {
    const openssl_turn turn;
    ssl_ptr ssl(SSL_new(context_.get()));
    if (ssl == nullptr) throw std::bad_alloc();
    if (SSL_is_server(ssl.get()) != 0) {
      SSL_set_accept_state(ssl.get());
    } else {
      SSL_set_connect_state(ssl.get());
      expect(ssl.get(), host);
    }
    return net::connection_access::make(std::make_unique<tls_socket>(std::move(ssl), std::move(below)));
  }

 private:
  /// Else OpenSSL would ask for a key's password on the terminal.
  static int refuse_to_ask(char* /*into*/, int /*size*/, int /*writing*/, void* locked) {
    *static_cast<bool*>(locked) = true;
    return -1;
  }

  static SSL_CTX* make(bool server) {
    // Else OpenSSL takes itself apart when main returns, though a worker thread that did not end in time may use it.
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
    return SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
  }

  /// What OpenSSL makes of a certificate at its first use is made here, before handshakes on several threads share it:
  /// they would find it by atomic operations inside of OpenSSL, of which ThreadSanitizer knows nothing.
  static void prepare(X509_STORE* trusted) {
    const auto* objects = X509_STORE_get0_objects(trusted);
    for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
      if (X509* each = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i))) X509_check_purpose(each, -1, 0);
    }
  }

  static void expect(SSL* ssl, const std::string& host) {
    X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1) return;
    ERR_clear_error();
    SSL_set_tlsext_host_name(ssl, host.c_str());
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM_set1_host(wanted, host.data(), host.size());
  }

  const context_ptr context_;
};

}  // namespace

std::shared_ptr<tls_context> tls_context::for_server(const std::string& certificate_file, const std::string& key_file) {
  const openssl_turn turn;
  auto made = std::make_shared<openssl_context>(true);
  made->serve_with(certificate_file, key_file);
  return made;
}

std::shared_ptr<tls_context> tls_context::for_client(const std::string& ca_file) {
  const openssl_turn turn;
  auto made = std::make_shared<openssl_context>(false);
  made->trust(ca_file);
  return made;
}

}  // namespace gofer::inline v0::http

#else

namespace gofer::inline v0::http {
namespace {

[[noreturn]] void refuse() {
  throw std::logic_error("gofer::http was built without TLS; install OpenSSL's headers and build it again");
}

}  // namespace

std::shared_ptr<tls_context> tls_context::for_server(const std::string& /*certificate_file*/,
                                                     const std::string& /*key_file*/) {
  refuse();
}

std::shared_ptr<tls_context> tls_context::for_client(const std::string& /*ca_file*/) { refuse(); }

}  // namespace gofer::inline v0::http

#endif
