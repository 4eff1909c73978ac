#include "nats/socket_pump.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

#include "nats/client.hpp"
#include "nats/go_counted.hpp"

namespace gofer::inline v0::nats {
namespace {

net::open_number duplicate(int socket) {
  const int copy = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) throw std::system_error(errno, std::system_category(), "nats: cannot watch the connection");
  const int flags = ::fcntl(copy, F_GETFL);
  ::fcntl(copy, F_SETFL, flags | O_NONBLOCK);  // libnats sets that, too
  return net::open_number(copy);
}

}  // namespace

socket_pump::socket_pump(client& owner, natsConnection* connection, int socket)
    : owner_(owner), connection_(connection), socket_(duplicate(socket), net::endpoint()) {}

void socket_pump::start(wait_group& running) {
  go_counted(running, "nats reader", [self = shared_from_this()] { self->read(); });
  go_counted(running, "nats writer", [self = shared_from_this()] { self->write(); });
}

void socket_pump::want_write(bool wanted) noexcept {
  wanted_.store(wanted, std::memory_order_release);
  if (wanted) wake_.try_send(true);
}

void socket_pump::stop() noexcept {
  stopped_.store(true, std::memory_order_release);
  socket_.close();
  wake_.try_send(true);
}

void socket_pump::read() noexcept {
  const auto look = [](int number) -> long {  // the poller tells of edges, libnats not whether it has read all
    char byte = 0;
    return arch::system_call([&] { return ::recv(number, &byte, 1, MSG_PEEK | MSG_DONTWAIT); });
  };
  for (;;) {
    std::error_code error;
    socket_.run(net::direction::read, "nats: wait for a server", error, look);
    if (error == std::errc::operation_canceled) return;
    natsConnection_ProcessReadEvent(connection_);  // also finds out that the connection has broken
    owner_.dispatch();
  }
}

void socket_pump::write() noexcept {
  const auto look = [](int number) -> long {
    pollfd one{.fd = number, .events = POLLOUT, .revents = 0};
    const long ready = arch::system_call([&] { return ::poll(&one, 1, 0); });
    return ready == 0 ? -EAGAIN : ready;
  };
  while (!stopped_.load(std::memory_order_acquire)) {
    wake_.receive();
    for (bool first = true; wanted_.load(std::memory_order_acquire); first = false) {
      std::error_code error;
      if (!first) socket_.run(net::direction::write, "nats: wait to send", error, look);
      if (error == std::errc::operation_canceled) return;
      natsConnection_ProcessWriteEvent(connection_);  // says that no more is wanted when all is written
    }
  }
}

}  // namespace gofer::inline v0::nats
