#include <algorithm>
#include <cstdio>
#include <mutex>
#include <stdexcept>

#include <gofer/detail/sched/point.hpp>
#include <gofer/go.hpp>
#include <gofer/http.hpp>

#include "http/server_core.hpp"
#include "sched/rest.hpp"

namespace gofer::inline v0::http {
namespace {

constexpr std::size_t most_turned_away = 64;  // at once; more are just closed
constexpr std::chrono::milliseconds pause_after_error{100};
constexpr std::chrono::seconds cut_off_time{1};
/// In which connections that were begun before a hand-over get here.
constexpr std::chrono::milliseconds hand_over_time{200};

void report_unserved(const std::exception& e) noexcept {  // there is no memory for it
  std::fprintf(stderr, "gofer: http: cannot serve a connection: %s\n", e.what());
}

server_options checked(server_options o) {
  const auto check = [&](bool right, const char* what) {
    if (!right) throw std::invalid_argument("http::server on " + o.address + ": " + what);
  };
  constexpr std::chrono::nanoseconds never{0};
  check(o.header_timeout > never, "header_timeout has to be positive");
  check(o.read_timeout > never, "read_timeout has to be positive");
  check(o.write_timeout > never, "write_timeout has to be positive");
  check(o.idle_timeout > never, "idle_timeout has to be positive");
  check(o.max_header_bytes != 0, "max_header_bytes has to be at least 1");
  check(o.workers == 0 || o.queue_capacity != 0, "queue_capacity has to be at least 1 where there are workers");
  return o;
}

}  // namespace

server_core::server_core(server_options o) : options(checked(std::move(o))) {}

void server_core::start() {
  if (options.tls) load_certificate();
  const std::scoped_lock hold(lock_);
  if (started_) {
    throw std::logic_error("http::server::start: the server on " + where() + " was started or shut down already");
  }
  if (options.workers != 0) {
    workers.emplace(worker_pool_options{.name = "http",
                                        .min_workers = options.workers,
                                        .queue_capacity = options.queue_capacity,
                                        .when_full = overflow::reject});
  }
  listener_.emplace(net::listener::listen(options.address, {.reuse_port = options.reuse_port}));
  address_ = listener_->address();
  go(go_options{.name = "http accept"}, [self = shared_from_this()] { self->accept_connections(); });
  started_ = true;
  ++session_count_;  // the accepting fiber counts, so that nothing of the server goes before it
}

void server_core::load_certificate() {
  if (!options.tls) throw std::logic_error("http::server::reload_certificate: the server has none");
  auto fresh = tls_context::for_server(options.tls->certificate, options.tls->key);
  const std::scoped_lock hold(lock_);
  tls_ = std::move(fresh);
}

/// With TLS around, if that is what this server speaks.
net::connection server_core::secured(net::connection c) {
  if (!options.tls) return c;
  std::unique_lock hold(lock_);
  const auto context = tls_;
  hold.unlock();
  return context->wrap(std::move(c), "");
}

void server_core::accept_connections() noexcept {
  while (!stopping()) {
    try {
      take_on(listener_->accept());
    } catch (const std::exception& e) {
      if (stopping()) break;
      std::fprintf(stderr, "gofer: http: accepting pauses: %s\n", e.what());
      sleep_for(pause_after_error);
    }
  }
  {
    const std::scoped_lock hold(lock_);
    --session_count_;
    changed_.notify_all();
  }
  sched::point("http: accepts no more", this);
}

/// What the fiber of a connection does, from accept to close.
class server_core::session_fiber {
 public:
  session_fiber(std::shared_ptr<server_core> core, net::connection c, bool welcome) noexcept
      : core_(std::move(core)), connection_(std::move(c)), welcome_(welcome) {}

  /// True: rests.
  bool operator()() noexcept {
    if (session_ == nullptr) session_ = core_->begin_session(std::move(connection_));
    if (session_ != nullptr) {
      if (welcome_ && session_->serve()) return true;
      if (!welcome_) session_->turn_away();
      core_->unlink(*session_);
      session_.reset();
    }
    sched::end_fiber_locals();
    core_->let_go(welcome_);
    return false;
  }

 private:
  std::shared_ptr<server_core> core_;
  net::connection connection_;  // until the session has it
  std::unique_ptr<session> session_;
  bool welcome_;
};

/// Starts a session's fiber.
void server_core::take_on(net::connection c) noexcept {
  bool welcome = true;
  {
    const std::scoped_lock hold(lock_);
    welcome = session_count_ - turned_away_ <= options.max_connections;  // the accepting fiber is one of them
    if (!welcome && turned_away_ == most_turned_away) return;
    ++session_count_;
    if (!welcome) ++turned_away_;
  }
  count([&](counters& n) {
    ++n.accepted;
    n.overloaded += welcome ? 0 : 1;
  });
  try {
    sched::start_resting("http", session_fiber(shared_from_this(), std::move(c), welcome));
  } catch (const std::exception& e) {
    report_unserved(e);
    let_go(welcome);
  }
}

/// Null if there is no memory.
std::unique_ptr<session> server_core::begin_session(net::connection c) noexcept {
  try {
    auto s = std::make_unique<session>(*this, secured(std::move(c)));
    link(*s);
    return s;
  } catch (const std::exception& e) {
    report_unserved(e);
    return nullptr;
  }
}

/// A connection that was taken on is closed.
void server_core::let_go(bool welcome) noexcept {
  count([](counters& n) { ++n.closed; });
  {
    const std::scoped_lock hold(lock_);
    --session_count_;
    if (!welcome) --turned_away_;
    changed_.notify_all();
  }
  sched::point("http: a connection is closed", this);
}

void server_core::link(session& s) {
  const std::scoped_lock hold(lock_);
  s.next = sessions_;
  if (sessions_ != nullptr) sessions_->previous = &s;
  sessions_ = &s;
  if (cutting_off_) s.cut_off();  // no handler has begun
}

void server_core::unlink(session& s) {
  const std::scoped_lock hold(lock_);
  if (s.next != nullptr) s.next->previous = s.previous;
  (s.previous != nullptr ? s.previous->next : sessions_) = s.next;
}

bool server_core::shut_down(std::chrono::nanoseconds grace) {
  const sched::time_point deadline = sched::deadline_after(grace);
  std::unique_lock hold(lock_);
  const bool running = listener_.has_value();
  started_ = true;
  hold.unlock();
  if (running && options.reuse_port && !stopping()) {
    listener_->hand_over();
    sleep_for(std::min<std::chrono::nanoseconds>(grace, hand_over_time));
  }
  stopping_.store(true, std::memory_order_seq_cst);
  shutdown_.request_stop();
  if (running) {
    try {  // what has connected already may have a request on its way
      while (net::connection c = listener_->try_accept()) take_on(std::move(c));
    } catch (const std::exception&) {
      // closed by another shutdown, or out of descriptors or memory: nothing to be saved
    }
    listener_->close();
  }
  hold.lock();
  for (session* s = sessions_; s != nullptr; s = s->next) s->look_up();
  const auto over = [&] { return session_count_ == 0; };
  const bool in_time = changed_.wait_until(hold, deadline, over);
  if (!in_time) {
    cutting_off_ = true;
    std::vector<std::stop_source> cut;
    sched::insist([&] { cut.reserve(session_count_); });
    for (session* s = sessions_; s != nullptr; s = s->next) cut.push_back(s->cut_off());
    hold.unlock();
    for (std::stop_source& each : cut) each.request_stop();  // runs users' callbacks
    hold.lock();
    changed_.wait_for(hold, cut_off_time, over);
  }
  shut_down_ = true;
  changed_.notify_all();
  return in_time;
}

void server_core::wait_for_sessions() {
  std::unique_lock hold(lock_);
  changed_.wait(hold, [&] { return session_count_ == 0; });
}

/// When no session is left. Their fibers keep the core for a moment more; what users gave goes with the server, and so
/// does what their handlers left in fiber_locals.
void server_core::forget_handlers() noexcept {
  workers.reset();
  routes = {};
  around.clear();
}

void server_core::wait_until_shut_down() {
  std::unique_lock hold(lock_);
  changed_.wait(hold, [&] { return shut_down_; });
}

bool server_core::started() const {
  const std::scoped_lock hold(lock_);
  return started_;
}

std::string server_core::address() const {
  const std::scoped_lock hold(lock_);
  return where();
}

server_stats server_core::stats() const {
  const counters sum = counted_.fold(counters{}, [](counters a, const counters& b) {
    a.accepted += b.accepted;
    a.closed += b.closed;
    a.requests += b.requests;
    a.answered += b.answered;
    a.errors += b.errors;
    a.refused += b.refused;
    a.overloaded += b.overloaded;
    return a;
  });
  return {.accepted = sum.accepted,
          .connections = sum.accepted - sum.closed,
          .requests = sum.requests,
          .active = sum.requests - sum.answered,
          .errors = sum.errors,
          .refused = sum.refused,
          .overloaded = sum.overloaded};
}

server::server(server_options options) : core_(std::make_shared<server_core>(std::move(options))) {}

server::~server() {
  core_->shut_down(std::chrono::nanoseconds(0));
  if (sched::stopped()) return;  // after main no handler runs any more
  core_->wait_for_sessions();
  core_->forget_handlers();
}

void server::handle(std::string_view pattern, handler h, route_options options) {
  if (core_->started()) throw std::logic_error("http::server::handle: the server was started already");
  core_->routes.add(pattern, std::move(h), options);
}

void server::use(middleware m) {
  if (core_->started()) throw std::logic_error("http::server::use: the server was started already");
  core_->around.push_back(std::move(m));
}

void server::start() { core_->start(); }

void server::reload_certificate() { core_->load_certificate(); }

void server::serve() {
  if (!core_->started()) start();
  core_->wait_until_shut_down();
}

bool server::shutdown_within(std::chrono::nanoseconds grace) { return core_->shut_down(grace); }

std::stop_token server::shutdown_token() const noexcept { return core_->shutdown_token(); }

std::string server::address() const { return core_->address(); }

server_stats server::stats() const { return core_->stats(); }

}  // namespace gofer::inline v0::http
