#include <algorithm>
#include <array>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include <gofer/http_client.hpp>
#include <gofer/mutex.hpp>
#include <gofer/net.hpp>
#include <gofer/time.hpp>

#include "http/answer_parser.hpp"
#include "http/characters.hpp"
#include "http/fields.hpp"
#include "http/target.hpp"
#include "http/tls.hpp"

namespace gofer::inline v0::http {
namespace {

/// A URL, taken apart.
struct location {
  bool secure = false;
  std::string authority;  // as in Host
  std::string host;       // alone, without brackets
  std::string address;    // with a port
  std::string target;

  /// What connections are kept by.
  std::string server() const { return (secure ? "https " : "http ") + address; }
};

location locate(const std::string& url) {
  const auto refuse = [&](const char* why) {
    throw std::invalid_argument("http::client: the URL \"" + url + "\" " + why);
  };
  location where;
  where.secure = url.starts_with("https://");
  if (!where.secure && !url.starts_with("http://")) refuse("does not begin with http:// or https://");
  const std::size_t begin = url.find("//") + 2;
  const auto path = std::min(url.find_first_of("/?#", begin), url.size());
  where.authority = url.substr(begin, path - begin);
  if (!is_authority(where.authority)) refuse("names no host");
  const auto colon = where.authority.rfind(':');
  const bool has_port = colon != std::string::npos && where.authority.find(']', colon) == std::string::npos;
  where.address = has_port ? where.authority : where.authority + (where.secure ? ":443" : ":80");
  where.host = where.authority.substr(0, has_port ? colon : where.authority.size());
  if (where.host.starts_with('[')) where.host = where.host.substr(1, where.host.size() - 2);
  where.target = url.substr(path, url.find('#') - path);
  if (!where.target.starts_with('/')) where.target.insert(0, "/");
  if (!std::ranges::all_of(where.target, is_visible)) {
    refuse("has a space, a control character or one beyond ASCII, which has to be written as %20 and the like");
  }
  return where;
}

bool can_be_repeated(const client_request& r) {
  return std::ranges::any_of(std::array{"GET", "HEAD", "PUT", "DELETE", "OPTIONS"},
                             [&](const char* method) { return r.method == method; });
}

std::string message_of(const client_request& r, const location& where) {
  const bool in_capitals = std::ranges::all_of(r.method, [](char c) { return c >= 'A' && c <= 'Z'; });
  if (r.method.empty() || !in_capitals || r.method == "CONNECT") {
    throw std::invalid_argument("http::client: \"" + r.method + "\" cannot be asked; GET can, for one");
  }
  std::string m = r.method + " " + where.target + " HTTP/1.1\r\nHost: " + where.authority;
  for (const auto& [name, value] : r.headers) {
    check_field("http::client", name, value);
    if (same_name(name, "host")) throw std::invalid_argument("http::client: Host is what the URL says");
    ((m += "\r\n") += name) += ": ";
    m += value;
  }
  const bool sized = !r.body.empty() || r.method == "POST" || r.method == "PUT" || r.method == "PATCH";
  if (sized) m += "\r\nContent-Length: " + std::to_string(r.body.size());
  return (m += "\r\n\r\n") += r.body;
}

}  // namespace

class client_core : public std::enable_shared_from_this<client_core> {
 public:
  explicit client_core(client_options o) : options_(std::move(o)) {
    if (!options_.ca_file.empty()) tls_ = tls_context::for_client(options_.ca_file);
  }

  answer send(const client_request& request) {
    const location where = locate(request.url);
    const std::string message = message_of(request, where);
    if (request.stop.stop_requested()) throw_stopped(request);
    for (;;) {
      std::optional<net::connection> kept = take(where.server());
      exchange e{.core = *this, .request = request, .message = message, .fresh = !kept.has_value()};
      e.connection = kept ? std::move(*kept) : connect(where, request);
      std::optional<answer> got = e.run();
      if (!got) continue;  // the connection had been closed: another
      if (e.reusable) keep(where.server(), std::move(e.connection));
      return *std::move(got);
    }
  }

 private:
  struct exchange {
    client_core& core;
    const client_request& request;
    const std::string& message;
    bool fresh;
    net::connection connection = {};
    bool reusable = false;

    /// Nothing: a kept connection was closed before the request reached the server.
    std::optional<answer> run() {
      const auto on_stop = [this] { connection.close(); };
      const std::stop_callback<decltype(on_stop)> stopping(request.stop, on_stop);
      try {
        bool begun = false;
        try {
          connection.set_deadline(sched::deadline_after(core.options_.timeout));
          const bool sent = send_message();
          std::optional<answer> got = receive(begun);
          reusable = reusable && sent;
          return got;
        } catch (const std::system_error& e) {
          if (!is_closed(e.code()) || fresh || begun || !can_be_repeated(request)) throw;
          return std::nullopt;
        }
      } catch (const std::system_error&) {
        if (request.stop.stop_requested()) throw_stopped(request);
        throw;
      }
    }

    static bool is_closed(const std::error_code& e) {
      return e == std::errc::connection_reset || e == std::errc::broken_pipe;
    }

    /// False if the server wants no more of it: it may have answered already, that this is too large for one.
    bool send_message() {
      std::error_code error;
      connection.write(std::as_bytes(std::span(message)), error);
      if (error && !is_closed(error)) throw std::system_error(error, "http::client: cannot ask " + request.url);
      return !error;
    }

    answer receive(bool& begun) {
      answer got;
      std::vector<char> buffer(4096);
      std::size_t held = 0;
      for (;;) {
        answer_parser parser(got, request, core.options_);
        while (!parser.complete()) {
          const std::size_t taken = parser.take({buffer.data(), held});
          std::copy(buffer.begin() + static_cast<std::ptrdiff_t>(taken),
                    buffer.begin() + static_cast<std::ptrdiff_t>(held), buffer.begin());
          held -= taken;
          if (parser.complete()) break;
          if (taken != 0 && held != 0) continue;
          if (held == buffer.size()) buffer.resize(2 * buffer.size());
          if (request.on_body && parser.has_head()) {
            connection.set_deadline(sched::deadline_after(core.options_.timeout));
          }
          const std::size_t read = connection.read_some(std::as_writable_bytes(std::span(buffer).subspan(held)));
          if (read == 0 && !begun)
            throw std::system_error(std::make_error_code(std::errc::connection_reset),
                                    "http::client: " + request.url + " was not answered");
          begun = true;
          held += read;
          if (read == 0) parser.take_end();
        }
        if (got.status() >= 200) {
          reusable = parser.keep_alive() && held == 0;
          return got;
        }
      }
    }
  };

  struct idle {
    std::string server;
    net::connection connection;
    sched::time_point until;
  };

  [[noreturn]] static void throw_stopped(const client_request& request) {
    throw std::system_error(std::make_error_code(std::errc::operation_canceled),
                            "http::client: a stop was requested of asking " + request.url);
  }

  net::connection connect(const location& where, const client_request& request) {
    net::connection c = dial(where, request);
    if (!where.secure) return c;
    std::unique_lock hold(lock_);
    if (tls_ == nullptr) tls_ = tls_context::for_client(options_.ca_file);
    const auto context = tls_;
    hold.unlock();
    return context->wrap(std::move(c), where.host);
  }

  net::connection dial(const location& where, const client_request& request) {
    try {
      return net::dial(where.address, options_.connect_timeout, request.stop);
    } catch (const std::system_error& e) {
      if (e.code() == std::errc::operation_canceled) throw_stopped(request);
      throw;
    }
  }

  /// The connection to that server that was used last and has not been closed since, as far as is known here.
  std::optional<net::connection> take(const std::string& server) {
    const std::scoped_lock hold(lock_);
    drop_expired();
    for (;;) {
      const auto found = std::ranges::find(idle_, server, &idle::server);
      if (found == idle_.end()) return std::nullopt;
      net::connection c = std::move(found->connection);
      idle_.erase(found);
      if (is_silent(c)) return c;
    }
  }

  /// Does not wait.
  static bool is_silent(net::connection& c) {
    c.set_read_deadline(sched::time_point::min());
    std::byte unasked{};
    std::error_code error;
    return c.read_some(std::span(&unasked, 1), error) == 0 && error == std::errc::timed_out;
  }

  void keep(const std::string& server, net::connection c) {
    c.set_deadline(sched::no_deadline);
    const std::scoped_lock hold(lock_);
    drop_expired();
    idle_.push_front({server, std::move(c), sched::deadline_after(options_.idle_timeout)});
    if (std::ranges::count(idle_, server, &idle::server) > static_cast<std::ptrdiff_t>(options_.idle_per_server)) {
      const auto oldest = std::find_if(idle_.rbegin(), idle_.rend(), [&](const idle& i) { return i.server == server; });
      idle_.erase(std::next(oldest).base());
    }
    if (idle_.size() > options_.idle_connections) idle_.pop_back();
    plan_sweep();
  }

  /// Connections that nobody needs are closed in time, too; lock_ is held.
  void plan_sweep() {
    if (idle_.empty() || std::exchange(sweep_planned_, true)) return;
    const auto left = idle_.back().until - sched::now();
    if (sweep_) {
      sweep_->reset(left);
    } else {
      sweep_.emplace(left, [core = weak_from_this()] {
        if (const auto self = core.lock()) self->sweep();
      });
    }
  }

  void sweep() {
    const std::scoped_lock hold(lock_);
    sweep_planned_ = false;
    drop_expired();
    plan_sweep();
  }

  void drop_expired() {
    const sched::time_point now = sched::now();
    while (!idle_.empty() && idle_.back().until <= now) idle_.pop_back();
  }

  const client_options options_;
  mutex lock_;
  std::shared_ptr<tls_context> tls_;  // guarded by lock_; once it is needed
  std::list<idle> idle_;              // guarded by lock_; used last, first
  std::optional<timer> sweep_;        // guarded by lock_
  bool sweep_planned_ = false;        // guarded by lock_
};

const std::string& answer::header(std::string_view name) const noexcept { return find_field(fields_, name); }

client::client(client_options options) : core_(std::make_shared<client_core>(std::move(options))) {}

answer client::send(const client_request& request) { return core_->send(request); }

}  // namespace gofer::inline v0::http
