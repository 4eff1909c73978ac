#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <gofer/detail/sched/time.hpp>
#include <gofer/net.hpp>

#include "net/address.hpp"

/// What connections and listeners stand on: the system's network, or in an exploration one in memory.
namespace gofer::inline v0::net {

enum class direction { read, write };

/// One end of a connection. As net::connection promises, for all callers at once.
class socket {
 public:
  socket() = default;
  socket(const socket&) = delete;
  socket& operator=(const socket&) = delete;
  virtual ~socket() = default;

  virtual std::size_t read_some(std::span<std::byte> into, std::error_code& error) noexcept = 0;
  virtual bool wait_readable(std::error_code& error) noexcept = 0;

  /// The same for a fiber that needs no stack meanwhile (sched/rest.hpp). Nothing: it is to return from its function
  /// now, and to ask again when it is called anew. Nobody else reads at that time. A network may also just wait.
  virtual std::optional<bool> rest(std::error_code& error) noexcept { return wait_readable(error); }

  virtual void write(std::span<const std::byte> all, std::error_code& error) noexcept = 0;

  /// Sends what need not wait, and takes it off `all`; the write of what is left finds what is wrong. Nobody else
  /// writes at that time. A network may also leave all of it.
  virtual void write_now(std::span<const std::byte>& /*all*/) noexcept {}

  virtual void set_deadline(direction d, sched::time_point at) noexcept = 0;
  virtual void shutdown_write() noexcept = 0;
  virtual void close() noexcept = 0;
  virtual std::string remote_address() = 0;
  virtual std::string local_address() = 0;
};

/// For networks, and for what puts itself between a connection and its network, or is a fiber of it that rests.
struct connection_access {
  static connection make(std::unique_ptr<socket> s) noexcept { return connection(connection::handle(s.release())); }
  static socket& of(connection& c) noexcept { return *c.socket_; }
};

/// Where connections come in.
class acceptor {
 public:
  acceptor() = default;
  acceptor(const acceptor&) = delete;
  acceptor& operator=(const acceptor&) = delete;
  virtual ~acceptor() = default;

  /// Null with an error; without `wait`, null without one if nobody has connected.
  virtual std::unique_ptr<socket> accept(bool wait, std::error_code& error) = 0;
  virtual void hand_over() noexcept = 0;
  virtual void close() noexcept = 0;
  virtual std::string address() = 0;
};

/// Errors of both are std::system_error, to which the caller adds its sentence, and what resolve throws.
class network {
 public:
  network() = default;
  network(const network&) = delete;
  network& operator=(const network&) = delete;

  virtual std::unique_ptr<acceptor> listen(std::string_view address, const listen_options& options) = 0;
  virtual std::unique_ptr<socket> dial(std::string_view address, const sched::wait_limit& limit) = 0;

 protected:
  ~network() = default;
};

/// Connects to the first of these, at least one, that answers. Where the time is more than a second for each, none can
/// use up that of those behind it. Throws std::system_error with the last one's error.
std::unique_ptr<socket> dial_first(std::span<const endpoint> all, const sched::wait_limit& limit);

/// Of the machine.
network& system_network() noexcept;

/// The one that the calling fiber or thread is in.
network& current_network() noexcept;

}  // namespace gofer::inline v0::net
