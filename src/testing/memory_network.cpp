#include "testing/memory_network.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "net/address.hpp"

namespace gofer::inline v0::testing {
namespace {

using gofer::net::direction;

std::error_code error_of(std::errc code) noexcept { return std::make_error_code(code); }

/// Names that stand for this machine.
std::string canonical(std::string host) { return host == "localhost" || host == "::1" ? "127.0.0.1" : host; }

bool is_any(const std::string& host) noexcept { return host == "0.0.0.0" || host == "::"; }

std::string written(const std::string& host, unsigned port) {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace

void crowd::wait(const char* reason, const void* object, sched::time_point until) noexcept {
  const sched::wait_limit limit{.deadline = until};
  sched::waiter self(reason, object, limit);
  sync::wait_node node(self);
  const sched::explorer* e = sched::exploring();
  {
    const sched::in_order hold(e);
    waiting_.push_back(node);
  }
  self.wait();
  const sched::in_order hold(e);
  waiting_.remove(node);  // does nothing if we were woken
}

void crowd::wake() noexcept {
  // Where atomics are points, too, one that is out of the list but not claimed yet could give up, and be gone.
  const sched::no_points in_one_step;
  while (sync::wait_node* n = waiting_.pop_front()) {
    if (n->who->claim(sched::waiter::woken)) n->who->wake();
  }
}

// The network

sched::time_point memory_network::arrival() noexcept {
  const auto least = options.min_latency.count();
  const auto most = std::max(options.max_latency.count(), least);
  return sched::deadline_after(std::chrono::nanoseconds(explores.between(least, most)));
}

std::unique_ptr<gofer::net::acceptor> memory_network::listen(std::string_view address,
                                                             const gofer::net::listen_options& /*options*/) {
  sched::point("net::listener::listen", this);
  const sched::in_order hold(&explores);
  const gofer::net::host_and_port where = gofer::net::split(address);
  const std::string host = canonical(where.host);
  unsigned port = where.port;
  if (port == 0) port = free_port();
  if (listening_at(host, port) != nullptr) throw std::system_error(error_of(std::errc::address_in_use));
  auto made = std::make_unique<memory_acceptor>(shared_from_this(), host, port);
  listeners_.emplace(port, made.get());
  return made;
}

std::unique_ptr<gofer::net::socket> memory_network::dial(std::string_view address, const sched::wait_limit& limit) {
  sched::point("net::dial", this);
  const gofer::net::host_and_port where = gofer::net::split(address);
  const std::string host = canonical(where.host);
  const unsigned port = where.port;
  sched::time_point answered;
  {
    const sched::in_order hold(&explores);
    answered = explores.happens(options.vanish) ? sched::no_deadline : arrival();
  }
  if (sched::now() < answered) {
    const sched::wait_limit until{.deadline = std::min(answered, limit.deadline), .stop = limit.stop};
    sched::waiter self("net::dial", this, until);
    self.wait();
  }
  if (limit.stoppable() && limit.stop->stop_requested()) {
    throw std::system_error(error_of(std::errc::operation_canceled));
  }
  const sched::in_order hold(&explores);
  if (sched::now() < answered) throw std::system_error(error_of(std::errc::timed_out));
  memory_acceptor* there = listening_at(host, port);
  if (there == nullptr) throw std::system_error(error_of(std::errc::connection_refused));
  auto w = std::make_shared<wire>();
  for (auto& of_side : w->deadlines) of_side.fill(sched::no_deadline);
  w->address = {written("127.0.0.1", first_free_port + dialed_++ % (65'536 - first_free_port)), written(host, port)};
  auto mine = std::make_unique<memory_socket>(shared_from_this(), w, 0U);
  there->connected(std::make_unique<memory_socket>(shared_from_this(), w, 1U));
  return mine;
}

void memory_network::forget(const memory_acceptor& a) noexcept {
  std::erase_if(listeners_, [&](const auto& each) { return each.second == &a; });
}

memory_acceptor* memory_network::listening_at(const std::string& host, unsigned port) const noexcept {
  const auto [first, last] = listeners_.equal_range(port);
  const auto found = std::find_if(first, last, [&](const auto& each) { return each.second->hears(host); });
  return found == last ? nullptr : found->second;
}

unsigned memory_network::free_port() const noexcept {
  unsigned port = first_free_port;
  while (listeners_.contains(port)) ++port;
  return port;
}

// Listeners

bool memory_acceptor::hears(const std::string& host) const noexcept {
  return host == host_ || is_any(host_) || is_any(host);
}

std::string memory_acceptor::address() { return written(host_, port_); }

void memory_acceptor::connected(std::unique_ptr<gofer::net::socket> s) noexcept {
  waiting_.push_back(std::move(s));
  changed_.wake();
}

std::unique_ptr<gofer::net::socket> memory_acceptor::accept(bool wait, std::error_code& error) {
  constexpr auto operation = "net::listener::accept";
  sched::point(operation, this);
  for (;;) {
    {
      const sched::in_order hold(&network_->explores);
      error = closed_ ? error_of(std::errc::operation_canceled) : std::error_code();
      if (closed_) return nullptr;
      if (!waiting_.empty()) {
        auto first = std::move(waiting_.front());
        waiting_.pop_front();
        return first;
      }
      if (!wait) return nullptr;
    }
    changed_.wait(operation, this, sched::no_deadline);
  }
}

void memory_acceptor::close() noexcept {
  sched::point("net::listener::close", this);
  const sched::in_order hold(&network_->explores);
  if (std::exchange(closed_, true)) return;
  network_->forget(*this);
  waiting_.clear();
  changed_.wake();
}

// Connections

bool memory_socket::broken(std::error_code& error) const noexcept {
  if (wire_->closed[side_]) {
    error = error_of(std::errc::operation_canceled);
  } else if (wire_->reset_at[side_] <= sched::now()) {
    error = error_of(std::errc::connection_reset);
  } else {
    return false;
  }
  return true;
}

std::size_t memory_socket::take(std::span<std::byte> into, std::size_t most) noexcept {
  std::size_t got = 0;
  while (got < most) {
    std::string& first = in().segments.front().bytes;
    const std::size_t part = std::min(first.size(), most - got);
    std::memcpy(into.data() + got, first.data(), part);
    got += part;
    first.erase(0, part);
    if (first.empty()) in().segments.pop_front();
  }
  in().length -= got;
  wire_->changed[1 - side_].wake();  // there is room again
  return got;
}

/// How many bytes have arrived; done also at the end.
memory_socket::progress memory_socket::look(std::size_t& there, std::error_code& error) noexcept {
  if (broken(error)) return progress::failed;
  const sched::time_point now = sched::now();
  there = 0;
  for (const wire::segment& s : in().segments) {
    if (s.arrives <= now) there += s.bytes.size();
  }
  if (there != 0 || in().ends_at <= now) return progress::done;
  if (deadline(direction::read) <= now) {
    error = error_of(std::errc::timed_out);
    return progress::failed;
  }
  until_ = std::min({deadline(direction::read), wire_->reset_at[side_], in().ends_at});
  if (!in().segments.empty()) until_ = std::min(until_, in().segments.front().arrives);
  return progress::wait;
}

memory_socket::progress memory_socket::try_read(std::span<std::byte> into, std::size_t& got,
                                                std::error_code& error) noexcept {
  const sched::in_order hold(&network_->explores);
  std::size_t there = 0;
  const progress seen = look(there, error);
  if (there != 0) {
    const std::size_t most = std::min(there, into.size());
    got = take(into, network_->options.partial_reads
                         ? static_cast<std::size_t>(network_->explores.between(static_cast<std::int64_t>(most), 1))
                         : most);
  }
  return seen;
}

bool memory_socket::wait_readable(std::error_code& error) noexcept {
  constexpr auto operation = "net::connection::wait_readable";
  sched::point(operation, this);
  error.clear();
  for (;;) {
    progress seen{};
    {
      const sched::in_order hold(&network_->explores);
      std::size_t there = 0;
      seen = look(there, error);
    }
    if (seen != progress::wait) return seen == progress::done;
    wire_->changed[side_].wait(operation, this, until_);
  }
}

std::size_t memory_socket::read_some(std::span<std::byte> into, std::error_code& error) noexcept {
  constexpr auto operation = "net::connection::read_some";
  sched::point(operation, this);
  error.clear();
  std::size_t got = 0;
  if (into.empty()) return 0;
  while (try_read(into, got, error) == progress::wait) wire_->changed[side_].wait(operation, this, until_);
  return got;
}

void memory_socket::reset(unsigned side, sched::time_point at) noexcept {
  if (wire_->vanished) return;
  wire_->reset_at[side] = std::min(wire_->reset_at[side], at);
  wire_->changed[side].wake();
}

/// Sends as much as there is room for.
memory_socket::progress memory_socket::try_write(std::span<const std::byte>& all, std::error_code& error) noexcept {
  memory_network& n = *network_;
  const sched::in_order hold(&n.explores);
  if (broken(error)) return progress::failed;
  if (out().shut) {
    error = error_of(std::errc::broken_pipe);
    return progress::failed;
  }
  const std::size_t room = n.options.buffer - std::min(n.options.buffer, out().length);
  if (room == 0) {
    if (deadline(direction::write) <= sched::now()) {
      error = error_of(std::errc::timed_out);
      return progress::failed;
    }
    until_ = std::min(deadline(direction::write), wire_->reset_at[side_]);
    return progress::wait;
  }
  const auto part = all.first(std::min(room, all.size()));
  all = all.subspan(part.size());
  if (!wire_->vanished && n.explores.happens(n.options.reset)) {
    for (const unsigned side : {0U, 1U}) reset(side, n.arrival());
  }
  wire_->vanished = wire_->vanished || n.explores.happens(n.options.vanish);
  if (wire_->closed[1 - side_]) {
    reset(side_, n.arrival());  // there is nobody
    return progress::done;
  }
  out().latest = wire_->vanished ? sched::no_deadline : std::max(out().latest, n.arrival());
  out().segments.push_back(
      {.arrives = out().latest, .bytes = std::string(reinterpret_cast<const char*>(part.data()), part.size())});
  out().length += part.size();
  wire_->changed[1 - side_].wake();
  return progress::done;
}

void memory_socket::write(std::span<const std::byte> all, std::error_code& error) noexcept {
  constexpr auto operation = "net::connection::write";
  sched::point(operation, this);
  error.clear();
  while (!all.empty()) {
    const progress made = try_write(all, error);
    if (made == progress::failed) return;
    if (made == progress::wait) wire_->changed[side_].wait(operation, this, until_);
  }
}

void memory_socket::set_deadline(direction d, sched::time_point at) noexcept {
  const sched::in_order hold(&network_->explores);
  wire_->deadlines[side_][static_cast<std::size_t>(d)] = at;
  wire_->changed[side_].wake();
}

/// The other side comes to the end of what was sent.
void memory_socket::end_stream() noexcept {
  if (std::exchange(out().shut, true)) return;
  out().ends_at = wire_->vanished ? sched::no_deadline : std::max(out().latest, network_->arrival());
  wire_->changed[1 - side_].wake();
}

void memory_socket::shutdown_write() noexcept {
  sched::point("net::connection::shutdown_write", this);
  const sched::in_order hold(&network_->explores);
  if (!wire_->closed[side_]) end_stream();
}

void memory_socket::close() noexcept {
  sched::point("net::connection::close", this);
  const sched::in_order hold(&network_->explores);
  if (std::exchange(wire_->closed[side_], true)) return;
  wire_->changed[side_].wake();
  if (in().length != 0) {
    reset(1 - side_, network_->arrival());  // as TCP does when not all was read
  } else {
    end_stream();
  }
}

// The handle

net::net(net_options options) {
  auto* e = static_cast<exploration*>(sched::exploring());  // there are no others
  if (e == nullptr) throw std::logic_error("testing::net: not in an exploration; make one in the body of explore");
  if (e->network != nullptr) throw std::logic_error("testing::net: there is one in this exploration already");
  for (const double likely : {options.reset, options.vanish}) {
    if (!(likely >= 0 && likely <= 1)) {
      throw std::invalid_argument("testing::net: a fault is as likely as " + std::to_string(likely) + ", not 0 to 1");
    }
  }
  if (options.buffer == 0) throw std::invalid_argument("testing::net: the buffer is 0: nothing could be sent");
  network_ = std::make_shared<memory_network>(*e, options);
  e->network = network_.get();
}

net::~net() { network_->explores.network = nullptr; }

}  // namespace gofer::inline v0::testing
