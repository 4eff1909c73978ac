#include <sys/resource.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstdio>

#include <gofer/go.hpp>
#include <gofer/net.hpp>

#include "net/socket.hpp"

namespace gofer::net {
namespace {

constexpr int backlog = 4096;  // the kernel lowers it to net.core.somaxconn
constexpr std::chrono::milliseconds pause_without_descriptors{10};

std::unique_ptr<socket, close_socket> listen_on(const endpoint& at) {
  const auto fail = [] { throw std::system_error(errno, std::system_category()); };
  const int descriptor = ::socket(at.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) fail();
  std::unique_ptr<socket, close_socket> s(new socket(descriptor, at));
  const int yes = 1;  // else the port stays taken for a minute after a restart
  if (::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0) fail();
  if (::bind(descriptor, at.get(), at.length) != 0) fail();
  if (::listen(descriptor, backlog) != 0) fail();
  return s;
}

/// What accept(2) reports of a connection that is gone already, or of the network; the next one may be fine.
bool concerns_one_connection(int error) noexcept {
  switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM:
      return true;
    default:
      return false;
  }
}

bool out_of_resources(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

/// At most once a minute: the lack concerns the whole process, and may come and go with every connection.
void say_that_accepting_pauses(const std::string& where, int error) {
  static std::atomic<sched::time_point> next{sched::time_point::min()};
  const sched::time_point now = sched::now();
  sched::time_point due = next.load(std::memory_order_relaxed);
  if (now < due || !next.compare_exchange_strong(due, now + std::chrono::minutes(1))) return;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  std::fprintf(stderr,
               "gofer: net::listener %s: %s; connections wait until some are closed (this process may have %llu "
               "descriptors: ulimit -n)\n",
               where.c_str(), std::system_category().message(error).c_str(),
               static_cast<unsigned long long>(limit.rlim_cur));
}

}  // namespace

listener listener::listen(std::string_view address) {
  const endpoint at = resolve(address).front();
  try {
    return listener(listen_on(at));
  } catch (const std::system_error& e) {
    throw std::system_error(e.code(), "cannot listen on " + std::string(address));
  }
}

connection listener::accept_one(bool wait) {
  for (;;) {
    std::error_code error = std::make_error_code(std::errc::bad_file_descriptor);
    endpoint from;
    const auto take = [&](int listening) {
      from.length = sizeof(from.storage);
      return arch::system_call(
          [&] { return ::accept4(listening, from.get(), &from.length, SOCK_NONBLOCK | SOCK_CLOEXEC); });
    };
    long descriptor = -1;
    if (socket_ != nullptr) {
      descriptor = wait ? socket_->run(socket::direction::read, "net::listener::accept", error, take)
                        : socket_->run_now(error, take);
    }
    if (descriptor >= 0) {
      std::unique_ptr<socket, close_socket> s(new socket(static_cast<int>(descriptor), from));
      s->disable_delay();
      return connection(std::move(s));
    }
    if (error == std::errc::resource_unavailable_try_again) return {};
    const bool of_system = error.category() == std::system_category();
    if (of_system && (concerns_one_connection(error.value()) || error.value() == EINTR)) continue;
    if (!of_system || !out_of_resources(error.value())) {
      throw std::system_error(error, "cannot accept on " + address());
    }
    say_that_accepting_pauses(address(), error.value());
    sleep_for(pause_without_descriptors);
  }
}

connection listener::accept() { return accept_one(true); }

connection listener::try_accept() { return accept_one(false); }

void listener::close() noexcept {
  if (socket_ != nullptr) socket_->close();
}

std::string listener::address() const { return socket_ == nullptr ? "" : socket_->local_address(); }

}  // namespace gofer::net
