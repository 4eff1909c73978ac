#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <gofer/condition_variable.hpp>
#include <gofer/detail/sched/insist.hpp>
#include <gofer/http.hpp>
#include <gofer/mutex.hpp>
#include <gofer/net.hpp>
#include <gofer/sharded.hpp>
#include <gofer/worker_pool.hpp>

#include "http/exchange.hpp"
#include "http/router.hpp"
#include "http/session.hpp"
#include "http/tls.hpp"

namespace gofer::inline v0::http {

/// What a server is behind its handle; shared with its fibers.
class server_core : public std::enable_shared_from_this<server_core> {
 public:
  struct counters {
    std::uint64_t accepted = 0, closed = 0, requests = 0, answered = 0, errors = 0, refused = 0, overloaded = 0;
  };

  /// Throws std::invalid_argument.
  explicit server_core(server_options o);

  void start();
  void wait_until_shut_down();
  bool shut_down(std::chrono::nanoseconds grace);
  void wait_for_sessions();
  void forget_handlers() noexcept;
  void load_certificate();
  std::string address() const;
  bool started() const;
  server_stats stats() const;

  /// No more requests are waited for.
  bool stopping() const noexcept { return stopping_.load(std::memory_order_seq_cst); }

  std::stop_token shutdown_token() const noexcept { return shutdown_.get_token(); }

  /// Calls `f(counters&)` on those that are to be changed here. May wait for memory.
  template <class F>
  void count(F f) {
    sched::insist([&] { counted_.local(f); });
  }

  const server_options options;
  // Not changed once started:
  router routes;
  std::vector<middleware> around;
  std::optional<worker_pool<>> workers;
  exchanges spare;

 private:
  void accept_connections() noexcept;
  void take_on(net::connection c) noexcept;
  class session_fiber;
  std::unique_ptr<session> begin_session(net::connection c) noexcept;
  const std::string& where() const noexcept { return address_.empty() ? options.address : address_; }
  void let_go(bool welcome) noexcept;
  net::connection secured(net::connection c);
  void link(session& s);
  void unlink(session& s);

  sharded<counters> counted_;
  std::optional<net::listener> listener_;
  std::string address_;  // once it listens; `where` with the lock
  std::atomic<bool> stopping_{false};
  std::stop_source shutdown_;

  mutable mutex lock_;
  condition_variable changed_;
  // Guarded by lock_:
  std::shared_ptr<tls_context> tls_;
  bool started_ = false;
  bool cutting_off_ = false;
  bool shut_down_ = false;
  session* sessions_ = nullptr;
  std::size_t session_count_ = 0;  // also of those whose fiber has not begun
  std::size_t turned_away_ = 0;    // of these, connections beyond the limit that are being told so
};

}  // namespace gofer::inline v0::http
