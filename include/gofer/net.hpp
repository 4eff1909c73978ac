#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>

#include <gofer/detail/sched/waiter.hpp>

/// TCP for fibers and threads: calls that wait for the other side block the caller alone.
///
/// Addresses are "host:port" or "[host]:port"; the host is an IP address or a name. Errors are std::system_error with
/// the sentence that says which address it was about, and std::invalid_argument for an address that cannot be read as
/// one.
namespace gofer::inline v0::net {

class socket;
class acceptor;
struct connection_access;
struct close_socket {
  void operator()(socket* s) const noexcept;
  void operator()(acceptor* a) const noexcept;
};

/// One end of a TCP connection. Movable; closed when destroyed.
///
/// One fiber or thread may read while another writes; several readers, or several writers, take turns, and a write is
/// never mixed with another. `close` and `set_deadline` may be called beside all of them. Nothing here raises SIGPIPE.
class connection {
 public:
  /// Not connected: every operation fails with std::errc::bad_file_descriptor.
  connection() noexcept = default;

  /// True for what `dial` and `accept` made, closed or not.
  explicit operator bool() const noexcept { return socket_ != nullptr; }

  /// Blocks until something has come, and returns how many bytes of it are in `into`; 0 when the other side has sent
  /// all that it will. Throws std::system_error: timed_out past the deadline, operation_canceled once closed on this
  /// side, connection_reset and whatever else the network reports.
  std::size_t read_some(std::span<std::byte> into);
  /// The same without exceptions; 0 with an error.
  std::size_t read_some(std::span<std::byte> into, std::error_code& error) noexcept;

  /// Blocks until read_some may have something to say: bytes, the end, or an error; true then, though that may turn out
  /// to be nothing yet. So a connection that waits need not hold the memory to read into. False with an error, as of
  /// read_some, when it does not come to that.
  bool wait_readable(std::error_code& error) noexcept;

  /// Blocks until all has been given to the system. Throws like read_some; how much was sent is not known then.
  void write(std::span<const std::byte> all);
  void write(std::span<const std::byte> all, std::error_code& error) noexcept;

  /// Reads and writes that have to wait beyond `at`, those that wait already included, fail with timed_out.
  /// `time_point::max()`: no deadline.
  template <class Clock, class Duration>
  void set_deadline(std::chrono::time_point<Clock, Duration> at) noexcept {
    set_read_deadline(at);
    set_write_deadline(at);
  }
  template <class Clock, class Duration>
  void set_read_deadline(std::chrono::time_point<Clock, Duration> at) noexcept {
    limit_reads(sched::deadline_at(at));
  }
  template <class Clock, class Duration>
  void set_write_deadline(std::chrono::time_point<Clock, Duration> at) noexcept {
    limit_writes(sched::deadline_at(at));
  }

  /// Tells the other side that nothing more will come; reading goes on.
  void shutdown_write() noexcept;

  /// Whoever waits for this connection fails with operation_canceled. May be called again.
  void close() noexcept;

  /// Empty when not connected.
  std::string remote_address() const;
  std::string local_address() const;

 private:
  friend struct connection_access;
  using handle = std::unique_ptr<socket, close_socket>;
  explicit connection(handle s) noexcept : socket_(std::move(s)) {}
  void limit_reads(sched::time_point at) noexcept;
  void limit_writes(sched::time_point at) noexcept;

  handle socket_;
};

struct listen_options {
  /// Other listeners with this option, also of other processes of the same user, may listen on the same address; the
  /// system spreads the connections over them (SO_REUSEPORT).
  bool reuse_port = false;
};

/// Where connections come in. Movable; closed when destroyed.
class listener {
 public:
  /// Listens on an address; port 0 takes a free one. The host has to be named: "127.0.0.1:8080" is this machine alone,
  /// "0.0.0.0:8080" and "[::]:8080" are all networks.
  static listener listen(std::string_view address, const listen_options& options = {});

  /// Before an end without a gap: of two listeners on one address (reuse_port) the one that came later gets all new
  /// connections from now on. Those that are being made may still come in here.
  void hand_over() noexcept;

  /// Blocks until somebody connects. When the process or the system has no descriptors left it says so once on stderr,
  /// and waits until there are some. Throws std::system_error: operation_canceled once closed.
  connection accept();

  /// The next that has connected already, or one that is not connected: does not block.
  connection try_accept();

  /// Whoever waits in accept fails with operation_canceled; what connected meanwhile is reset. May be called again.
  void close() noexcept;

  /// Where it really listens, with the port number.
  std::string address() const;

 private:
  using handle = std::unique_ptr<acceptor, close_socket>;
  explicit listener(handle a) noexcept : acceptor_(std::move(a)) {}
  connection accept_one(bool wait);

  handle acceptor_;
};

/// Connects as `dial` does.
connection dial_within(std::string_view address, const sched::wait_limit& limit);

/// Connects to an address, to the first of a name's that answers; one that does not leaves the others their part of the
/// time, if that is more than a second. Throws std::system_error, timed_out when that takes longer than `timeout`,
/// operation_canceled when a stop is requested first; looking a name up is not cut short.
template <class Rep, class Period>
connection dial(std::string_view address, std::chrono::duration<Rep, Period> timeout, std::stop_token stop = {}) {
  return dial_within(address, {.deadline = sched::deadline_after(timeout), .stop = &stop});
}

}  // namespace gofer::inline v0::net
