#include <system_error>

#include <gofer/net.hpp>

#include "net/network.hpp"

namespace gofer::inline v0::net {

listener listener::listen(std::string_view address, const listen_options& options) {
  try {
    return listener(handle(current_network().listen(address, options).release()));
  } catch (const std::system_error& e) {
    throw std::system_error(e.code(), "cannot listen on " + std::string(address));
  }
}

connection listener::accept_one(bool wait) {
  std::error_code error = std::make_error_code(std::errc::bad_file_descriptor);
  std::unique_ptr<socket> accepted;
  if (acceptor_ != nullptr) accepted = acceptor_->accept(wait, error);
  if (error) throw std::system_error(error, "cannot accept on " + address());
  return accepted == nullptr ? connection() : connection_access::make(std::move(accepted));
}

connection listener::accept() { return accept_one(true); }

connection listener::try_accept() { return accept_one(false); }

void listener::hand_over() noexcept {
  if (acceptor_ != nullptr) acceptor_->hand_over();
}

void listener::close() noexcept {
  if (acceptor_ != nullptr) acceptor_->close();
}

std::string listener::address() const { return acceptor_ == nullptr ? "" : acceptor_->address(); }

}  // namespace gofer::inline v0::net
