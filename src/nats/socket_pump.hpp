#pragma once

#include <atomic>
#include <memory>

#include <gofer/chan.hpp>
#include <gofer/wait_group.hpp>

#include "nats/message.hpp"
#include "net/descriptor.hpp"

namespace gofer::inline v0::nats {

class client;

/// Moves a connection's bytes while its socket is open: one fiber reads, one writes, both by way of gofer's poller.
/// libnats closes the socket when it likes; so this waits at a duplicate of it.
class socket_pump : public std::enable_shared_from_this<socket_pump> {
 public:
  /// Throws std::system_error.
  socket_pump(client& owner, natsConnection* connection, int socket);

  /// Starts the fibers; `running` counts them, and outlives them.
  void start(wait_group& running);

  // libnats calls these holding its locks, in fibers and in threads of its own: they do not wait.
  void want_write(bool wanted) noexcept;
  void stop() noexcept;

 private:
  void read() noexcept;
  void write() noexcept;

  client& owner_;
  natsConnection* const connection_;
  net::descriptor socket_;
  chan<bool> wake_{1};  // the writer
  std::atomic<bool> wanted_{false};
  std::atomic<bool> stopped_{false};
};

}  // namespace gofer::inline v0::nats
