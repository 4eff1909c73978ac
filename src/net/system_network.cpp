#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <stop_token>
#include <utility>

#include <gofer/go.hpp>

#include "net/descriptor.hpp"
#include "net/network.hpp"
#include "sched/explorer.hpp"

namespace gofer::inline v0::net {
namespace {

constexpr int backlog = 4096;  // the kernel lowers it to net.core.somaxconn
constexpr std::chrono::milliseconds pause_without_descriptors{10};
constexpr std::chrono::seconds least_share{1};  // after which the kernel asks for a connection again

class system_socket final : public socket {
 public:
  system_socket(open_number number, const endpoint& remote) : descriptor_(std::move(number), remote) {}

  std::size_t read_some(std::span<std::byte> into, std::error_code& error) noexcept override {
    const auto receive = [&](int number) {
      return arch::system_call([&] { return ::recv(number, into.data(), into.size(), 0); });
    };
    const long got =
        descriptor_.run(direction::read, "net::connection::read_some", error, receive, static_cast<long>(into.size()));
    return got < 0 ? 0 : static_cast<std::size_t>(got);
  }

  bool wait_readable(std::error_code& error) noexcept override {
    return descriptor_.wait_for_more(direction::read, "net::connection::wait_readable", error);
  }

  std::optional<bool> rest(std::error_code& error) noexcept override {
    return descriptor_.rest("net::connection::wait_readable", error);
  }

  void write(std::span<const std::byte> all, std::error_code& error) noexcept override {
    // One call for the whole of it, so that the turn is kept: what was sent is no success until nothing is left.
    descriptor_.run(direction::write, "net::connection::write", error, [&](int number) {
      while (!all.empty()) {
        const long sent = arch::system_call([&] { return ::send(number, all.data(), all.size(), MSG_NOSIGNAL); });
        if (sent < 0) return sent;
        all = all.subspan(static_cast<std::size_t>(sent));
      }
      return 0L;
    });
  }

  void write_now(std::span<const std::byte>& all) noexcept override {
    std::error_code left_to_write;
    const long sent = descriptor_.run_now(left_to_write, [&](int number) {
      return arch::system_call([&] { return ::send(number, all.data(), all.size(), MSG_NOSIGNAL); });
    });
    if (sent > 0) all = all.subspan(static_cast<std::size_t>(sent));
  }

  void connect(const endpoint& to, sched::time_point deadline, std::error_code& error) noexcept {
    set_deadline(direction::write, deadline);
    bool begun = false;
    descriptor_.run(direction::write, "net::dial", error, [&](int number) {
      if (!std::exchange(begun, true)) return arch::system_call([&] { return ::connect(number, to.get(), to.length); });
      int refused = 0;
      socklen_t size = sizeof(refused);
      const long known = arch::system_call([&] { return ::getsockopt(number, SOL_SOCKET, SO_ERROR, &refused, &size); });
      if (known != 0 || refused != 0) return known != 0 ? known : -static_cast<long>(refused);
      endpoint peer;  // there is none yet if we were woken for nothing
      const long connected = arch::system_call([&] { return ::getpeername(number, peer.get(), &peer.length); });
      return connected == -ENOTCONN ? -EAGAIN : connected;
    });
    set_deadline(direction::write, sched::no_deadline);
  }

  void set_deadline(direction d, sched::time_point at) noexcept override { descriptor_.set_deadline(d, at); }
  void shutdown_write() noexcept override {
    std::error_code ignored;  // the other side is gone already
    descriptor_.run_now(ignored,
                        [](int number) { return arch::system_call([&] { return ::shutdown(number, SHUT_WR); }); });
  }
  void close() noexcept override { descriptor_.close(); }
  void disable_delay() noexcept { descriptor_.disable_delay(); }
  std::string remote_address() override { return to_string(descriptor_.remote()); }
  std::string local_address() override { return descriptor_.local_address(); }

 private:
  descriptor descriptor_;
};

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

class system_acceptor final : public acceptor {
 public:
  system_acceptor(const endpoint& at, const listen_options& options) : listening_(opened(at), at) {
    std::error_code error;
    listening_.run_now(error, [&](int number) -> long {
      const int yes = 1;  // else the port stays taken for a minute after a restart
      if (::setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
          (options.reuse_port && ::setsockopt(number, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)) != 0) ||
          ::bind(number, at.get(), at.length) != 0 || ::listen(number, backlog) != 0) {
        return -static_cast<long>(errno);
      }
      // What an earlier hand-over has left behind; mostly nothing.
      if (options.reuse_port) ::setsockopt(number, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &yes, sizeof(yes));
      return 0;
    });
    if (error) throw std::system_error(error);
  }

  std::unique_ptr<socket> accept(bool wait, std::error_code& error) override {
    for (;;) {
      endpoint from;
      const auto take = [&](int number) {
        from.length = sizeof(from.storage);
        return arch::system_call(
            [&] { return ::accept4(number, from.get(), &from.length, SOCK_NONBLOCK | SOCK_CLOEXEC); });
      };
      const long number = wait ? listening_.run(direction::read, "net::listener::accept", error, take)
                               : listening_.run_now(error, take);
      if (number >= 0) {
        auto s = std::make_unique<system_socket>(open_number(static_cast<int>(number)), from);
        s->disable_delay();
        return s;
      }
      if (error == std::errc::resource_unavailable_try_again) {
        error.clear();
        return nullptr;
      }
      const bool of_system = error.category() == std::system_category();
      if (of_system && (concerns_one_connection(error.value()) || error.value() == EINTR)) continue;
      if (!of_system || !out_of_resources(error.value())) return nullptr;
      say_that_accepting_pauses(address(), error.value());
      sleep_for(pause_without_descriptors);
    }
  }

  /// The sockets of one address are numbered from 0 in the order in which they came, and a program may say which gets a
  /// connection. Where there is no second one the system chooses as it would without.
  void hand_over() noexcept override {
    std::error_code ignored;
    listening_.run_now(ignored, [](int number) {
      sock_filter second{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = 1};
      const sock_fprog program{.len = 1, .filter = &second};
      return arch::system_call(
          [&] { return ::setsockopt(number, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)); });
    });
  }

  /// An accept under way keeps the descriptor open until its fiber has run, but nobody is to get in any more.
  void close() noexcept override {
    listening_.close([](int number) { ::shutdown(number, SHUT_RDWR); });
  }
  std::string address() override { return listening_.local_address(); }

 private:
  static open_number opened(const endpoint& at) {
    const int number = ::socket(at.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (number < 0) throw std::system_error(errno, std::system_category());
    return open_number(number);
  }

  descriptor listening_;
};

class of_system final : public network {
 public:
  std::unique_ptr<acceptor> listen(std::string_view address, const listen_options& options) override {
    return std::make_unique<system_acceptor>(resolve(address).front(), options);
  }

  std::unique_ptr<socket> dial(std::string_view address, const sched::wait_limit& limit) override {
    return dial_first(resolve(address), limit);
  }
};

/// When to give up one of so many that are left: an equal part of the time is its own, but no less than what one lost
/// packet costs.
sched::time_point share_of(sched::time_point deadline, std::size_t left) noexcept {
  const sched::time_point now = sched::now();
  if (left == 1 || deadline == sched::no_deadline || deadline <= now) return deadline;
  const auto share = std::max<sched::time_point::duration>((deadline - now) / left, least_share);
  return std::min(deadline, now + share);
}

}  // namespace

std::unique_ptr<socket> dial_first(std::span<const endpoint> all, const sched::wait_limit& limit) {
  const std::stop_token stop = limit.stoppable() ? *limit.stop : std::stop_token();
  std::error_code error;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const endpoint& to = all[i];
    const long number = arch::system_call(
        [&] { return ::socket(to.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); });
    if (number < 0) {
      error.assign(static_cast<int>(-number), std::system_category());
      continue;
    }
    auto s = std::make_unique<system_socket>(open_number(static_cast<int>(number)), to);
    {
      const auto on_stop = [&] { s->close(); };
      const std::stop_callback<decltype(on_stop)> stopping(stop, on_stop);
      s->connect(to, share_of(limit.deadline, all.size() - i), error);
    }
    if (stop.stop_requested()) throw std::system_error(std::make_error_code(std::errc::operation_canceled));
    if (error) continue;
    s->disable_delay();
    return s;
  }
  throw std::system_error(error);
}

network& system_network() noexcept {
  static of_system instance;
  return instance;
}

network& current_network() noexcept {
  const sched::explorer* e = sched::exploring();
  return e == nullptr || e->network == nullptr ? system_network() : *e->network;
}

}  // namespace gofer::inline v0::net
