#include <stdexcept>

#include <gofer/net.hpp>

#include "net/network.hpp"

namespace gofer::inline v0::net {
namespace {

[[noreturn]] void raise(const std::error_code& error, const char* operation, const std::string& whom) {
  throw std::system_error(error, std::string(operation) + (whom.empty() ? "" : " " + whom));
}

}  // namespace

void close_socket::operator()(socket* s) const noexcept { delete s; }
void close_socket::operator()(acceptor* a) const noexcept { delete a; }

std::size_t connection::read_some(std::span<std::byte> into, std::error_code& error) noexcept {
  if (socket_ != nullptr) return socket_->read_some(into, error);
  error = std::make_error_code(std::errc::bad_file_descriptor);
  return 0;
}

bool connection::wait_readable(std::error_code& error) noexcept {
  if (socket_ != nullptr) return socket_->wait_readable(error);
  error = std::make_error_code(std::errc::bad_file_descriptor);
  return false;
}

std::size_t connection::read_some(std::span<std::byte> into) {
  std::error_code error;
  const std::size_t got = read_some(into, error);
  if (error) raise(error, "cannot read from", remote_address());
  return got;
}

void connection::write(std::span<const std::byte> all, std::error_code& error) noexcept {
  if (socket_ != nullptr) return socket_->write(all, error);
  error = std::make_error_code(std::errc::bad_file_descriptor);
}

void connection::write(std::span<const std::byte> all) {
  std::error_code error;
  write(all, error);
  if (error) raise(error, "cannot write to", remote_address());
}

void connection::limit_reads(sched::time_point at) noexcept {
  if (socket_ != nullptr) socket_->set_deadline(direction::read, at);
}

void connection::limit_writes(sched::time_point at) noexcept {
  if (socket_ != nullptr) socket_->set_deadline(direction::write, at);
}

void connection::shutdown_write() noexcept {
  if (socket_ != nullptr) socket_->shutdown_write();
}

void connection::close() noexcept {
  if (socket_ != nullptr) socket_->close();
}

std::string connection::remote_address() const { return socket_ == nullptr ? "" : socket_->remote_address(); }

std::string connection::local_address() const { return socket_ == nullptr ? "" : socket_->local_address(); }

connection dial_within(std::string_view address, const sched::wait_limit& limit) {
  try {
    return connection_access::make(current_network().dial(address, limit));
  } catch (const std::system_error& e) {
    raise(e.code(), "cannot connect to", std::string(address));
  }
}

}  // namespace gofer::inline v0::net
