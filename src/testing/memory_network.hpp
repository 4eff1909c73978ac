#pragma once

#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include <gofer/detail/sync/wait_list.hpp>
#include <gofer/testing.hpp>

#include "net/network.hpp"
#include "testing/exploration.hpp"

namespace gofer::inline v0::testing {

/// Those who wait for some state to change, in an exploration, where one fiber runs at a time: no lock is needed.
class crowd {
 public:
  void wait(const char* reason, const void* object, sched::time_point until) noexcept;
  void wake() noexcept;

 private:
  sync::wait_list waiting_;
};

class memory_acceptor;

/// A network of one exploration, shared by its sockets.
class memory_network final : public gofer::net::network, public std::enable_shared_from_this<memory_network> {
 public:
  memory_network(exploration& e, const net_options& o) noexcept : explores(e), options(o) {}
  ~memory_network() = default;

  /// Without shared ports: a second listener of an address is refused, whatever its options.
  std::unique_ptr<gofer::net::acceptor> listen(std::string_view address,
                                               const gofer::net::listen_options& options) override;
  std::unique_ptr<gofer::net::socket> dial(std::string_view address, const sched::wait_limit& limit) override;

  /// When what is sent now arrives.
  sched::time_point arrival() noexcept;
  void forget(const memory_acceptor& a) noexcept;

  exploration& explores;
  const net_options options;

 private:
  memory_acceptor* listening_at(const std::string& host, unsigned port) const noexcept;
  unsigned free_port() const noexcept;
  static constexpr unsigned first_free_port = 49'152;

  std::multimap<unsigned, memory_acceptor*> listeners_;  // by port
  unsigned dialed_ = 0;
};

/// Both directions of one connection. What side i receives is `to[i]`.
struct wire {
  struct segment {
    sched::time_point arrives;
    std::string bytes;
  };
  struct pipe {
    std::deque<segment> segments;
    std::size_t length = 0;                          // bytes in them
    sched::time_point latest = {};                   // when the last thing sent arrives
    sched::time_point ends_at = sched::no_deadline;  // once the sender has said so
    bool shut = false;                               // nothing more may be sent
  };

  std::array<pipe, 2> to;
  std::array<bool, 2> closed{};
  std::array<std::string, 2> address;
  std::array<crowd, 2> changed;                                 // for those at one side
  std::array<std::array<sched::time_point, 2>, 2> deadlines{};  // by side and direction
  std::array<sched::time_point, 2> reset_at{sched::no_deadline, sched::no_deadline};
  bool vanished = false;  // nothing that is sent arrives any more
};

class memory_socket final : public gofer::net::socket {
 public:
  memory_socket(std::shared_ptr<memory_network> n, std::shared_ptr<wire> w, unsigned side) noexcept
      : network_(std::move(n)), wire_(std::move(w)), side_(side) {}
  ~memory_socket() override { close(); }

  std::size_t read_some(std::span<std::byte> into, std::error_code& error) noexcept override;
  bool wait_readable(std::error_code& error) noexcept override;
  void write(std::span<const std::byte> all, std::error_code& error) noexcept override;
  void set_deadline(gofer::net::direction d, sched::time_point at) noexcept override;
  void shutdown_write() noexcept override;
  void close() noexcept override;
  std::string remote_address() override { return wire_->address[1 - side_]; }
  std::string local_address() override { return wire_->address[side_]; }

 private:
  enum class progress { done, failed, wait };
  progress look(std::size_t& there, std::error_code& error) noexcept;
  progress try_read(std::span<std::byte> into, std::size_t& got, std::error_code& error) noexcept;
  progress try_write(std::span<const std::byte>& all, std::error_code& error) noexcept;
  bool broken(std::error_code& error) const noexcept;
  std::size_t take(std::span<std::byte> into, std::size_t most) noexcept;
  void end_stream() noexcept;
  void reset(unsigned side, sched::time_point at) noexcept;
  sched::time_point deadline(gofer::net::direction d) const noexcept {
    return wire_->deadlines[side_][static_cast<std::size_t>(d)];
  }
  wire::pipe& in() const noexcept { return wire_->to[side_]; }
  wire::pipe& out() const noexcept { return wire_->to[1 - side_]; }

  const std::shared_ptr<memory_network> network_;
  const std::shared_ptr<wire> wire_;
  const unsigned side_;
  sched::time_point until_{};  // when a wait that was found necessary may be over
};

class memory_acceptor final : public gofer::net::acceptor {
 public:
  memory_acceptor(std::shared_ptr<memory_network> n, std::string host, unsigned port) noexcept
      : host_(std::move(host)), port_(port), network_(std::move(n)) {}
  ~memory_acceptor() override { close(); }

  std::unique_ptr<gofer::net::socket> accept(bool wait, std::error_code& error) override;
  void hand_over() noexcept override {}
  void close() noexcept override;
  std::string address() override;

  bool hears(const std::string& host) const noexcept;
  void connected(std::unique_ptr<gofer::net::socket> s) noexcept;

 private:
  const std::string host_;
  const unsigned port_;
  const std::shared_ptr<memory_network> network_;
  std::deque<std::unique_ptr<gofer::net::socket>> waiting_;
  crowd changed_;
  bool closed_ = false;
};

}  // namespace gofer::inline v0::testing
