#pragma once

#include <memory>
#include <string>

#include <gofer/net.hpp>

namespace gofer::inline v0::http {

/// Puts TLS 1.2 or 1.3 around connections, by OpenSSL: forward secrecy and authenticated encryption only, no
/// compression, no renegotiation, and "http/1.1" for whoever negotiates a protocol. Throws std::logic_error where it is
/// made if the library was built without OpenSSL.
class tls_context {
 public:
  /// For a server with this certificate, the chain behind it, and its key, in PEM files. Throws std::system_error that
  /// says which file is wrong.
  static std::shared_ptr<tls_context> for_server(const std::string& certificate_file, const std::string& key_file);

  /// For a client that trusts the authorities in that PEM file, or if it is empty those that the system does.
  static std::shared_ptr<tls_context> for_client(const std::string& ca_file);

  tls_context(const tls_context&) = delete;
  tls_context& operator=(const tls_context&) = delete;
  virtual ~tls_context() = default;

  /// The same connection with TLS around. Nothing is sent yet: the handshake is part of the first read or write, with
  /// their deadlines, errors, and no second caller at that time. `host` is the name that the other side's certificate
  /// has to be for; a server's is not asked.
  virtual net::connection wrap(net::connection below, const std::string& host) = 0;

 protected:
  tls_context() = default;
};

}  // namespace gofer::inline v0::http
