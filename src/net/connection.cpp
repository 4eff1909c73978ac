#include <sys/socket.h>

#include <cerrno>
#include <stdexcept>

#include <gofer/net.hpp>

#include "net/socket.hpp"

namespace gofer::net {
namespace {

[[noreturn]] void raise(const std::error_code& error, const char* operation, const std::string& whom) {
  throw std::system_error(error, std::string(operation) + (whom.empty() ? "" : " " + whom));
}

}  // namespace

void close_socket::operator()(socket* s) const noexcept { delete s; }

std::size_t connection::read_some(std::span<std::byte> into, std::error_code& error) noexcept {
  if (socket_ == nullptr) {
    error = std::make_error_code(std::errc::bad_file_descriptor);
    return 0;
  }
  const long got = socket_->run(socket::direction::read, "net::connection::read_some", error, [&](int descriptor) {
    return arch::system_call([&] { return ::recv(descriptor, into.data(), into.size(), 0); });
  });
  return got < 0 ? 0 : static_cast<std::size_t>(got);
}

std::size_t connection::read_some(std::span<std::byte> into) {
  std::error_code error;
  const std::size_t got = read_some(into, error);
  if (error) raise(error, "cannot read from", remote_address());
  return got;
}

void connection::write(std::span<const std::byte> all, std::error_code& error) noexcept {
  if (socket_ == nullptr) {
    error = std::make_error_code(std::errc::bad_file_descriptor);
    return;
  }
  // One call for the whole of it, so that the turn is kept: what was sent is no success until nothing is left.
  socket_->run(socket::direction::write, "net::connection::write", error, [&](int descriptor) {
    while (!all.empty()) {
      const long sent = arch::system_call([&] { return ::send(descriptor, all.data(), all.size(), MSG_NOSIGNAL); });
      if (sent < 0) return sent;
      all = all.subspan(static_cast<std::size_t>(sent));
    }
    return 0L;
  });
}

void connection::write(std::span<const std::byte> all) {
  std::error_code error;
  write(all, error);
  if (error) raise(error, "cannot write to", remote_address());
}

void connection::limit_reads(sched::time_point at) noexcept {
  if (socket_ != nullptr) socket_->set_deadline(socket::direction::read, at);
}

void connection::limit_writes(sched::time_point at) noexcept {
  if (socket_ != nullptr) socket_->set_deadline(socket::direction::write, at);
}

void connection::shutdown_write() noexcept {
  if (socket_ == nullptr) return;
  std::error_code ignored;  // the other side is gone already
  socket_->run_now(ignored,
                   [](int descriptor) { return arch::system_call([&] { return ::shutdown(descriptor, SHUT_WR); }); });
}

void connection::close() noexcept {
  if (socket_ != nullptr) socket_->close();
}

std::string connection::remote_address() const { return socket_ == nullptr ? "" : to_string(socket_->remote()); }

std::string connection::local_address() const { return socket_ == nullptr ? "" : socket_->local_address(); }

connection dial_until(std::string_view address, sched::time_point deadline) {
  std::error_code error;
  for (const endpoint& to : resolve(address)) {
    const long descriptor = arch::system_call(
        [&] { return ::socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); });
    if (descriptor < 0) {
      error.assign(static_cast<int>(-descriptor), std::system_category());
      continue;
    }
    std::unique_ptr<socket, close_socket> s(new socket(static_cast<int>(descriptor), to));
    s->set_deadline(socket::direction::write, deadline);
    bool begun = false;
    s->run(socket::direction::write, "net::dial", error, [&](int d) {
      if (!std::exchange(begun, true)) return arch::system_call([&] { return ::connect(d, to.get(), to.length); });
      int refused = 0;
      socklen_t size = sizeof(refused);
      const long known = arch::system_call([&] { return ::getsockopt(d, SOL_SOCKET, SO_ERROR, &refused, &size); });
      if (known != 0 || refused != 0) return known != 0 ? known : -static_cast<long>(refused);
      endpoint peer;  // there is none yet if we were woken for nothing
      const long connected = arch::system_call([&] { return ::getpeername(d, peer.get(), &peer.length); });
      return connected == -ENOTCONN ? -EAGAIN : connected;
    });
    if (error) continue;
    s->disable_delay();
    s->set_deadline(socket::direction::write, sched::no_deadline);
    return connection(std::move(s));
  }
  raise(error, "cannot connect to", std::string(address));
}

}  // namespace gofer::net
