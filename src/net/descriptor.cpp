#include "net/descriptor.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "sched/runtime.hpp"

namespace gofer::inline v0::net {

open_number::~open_number() {
  if (number_ >= 0) ::close(number_);
}

descriptor::descriptor(open_number number, const endpoint& remote)
    : number_(number.get()), record_(sched::runtime::get().network.open(number_)), remote_(remote) {
  number.release();
}

bool descriptor::enter() noexcept {
  std::uint32_t seen = uses_.load(std::memory_order_relaxed);
  while ((seen & closed) == 0) {
    if (uses_.compare_exchange_weak(seen, seen + one_use, std::memory_order_acquire, std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

void descriptor::leave() noexcept {
  if (uses_.fetch_sub(one_use, std::memory_order_acq_rel) != (one_use | closed)) return;
  sched::runtime::get().network.close(number_, record_);
  ::close(number_);
}

bool descriptor::wait(direction d, const char* reason, std::error_code& error) noexcept {
  const auto& limit = deadline_[static_cast<int>(d)];
  return wait_ended(d, is_closed() ? sched::waiter::woken : side(d).wait(reason, limit), error);
}

bool descriptor::wait_ended(direction d, std::uint32_t outcome, std::error_code& error) const noexcept {
  if (is_closed()) {
    error = std::make_error_code(std::errc::operation_canceled);
    return false;
  }
  const auto& limit = deadline_[static_cast<int>(d)];
  if (outcome == sched::waiter::woken || sched::now() < limit.load(std::memory_order_acquire)) return true;
  error = std::make_error_code(std::errc::timed_out);
  return false;
}

bool descriptor::wait_for_more(direction d, const char* reason, std::error_code& error) noexcept {
  sched::cooperate();
  const use in(*this);
  if (!in) {
    error = std::make_error_code(std::errc::operation_canceled);
    return false;
  }
  const std::scoped_lock hold(turn_[static_cast<int>(d)]);
  error.clear();
  return wait_if_drained(d, reason, error);
}

std::optional<bool> descriptor::rest(const char* reason, std::error_code& error) noexcept {
  constexpr direction d = direction::read;
  error.clear();
  if (rested_) {
    const std::uint32_t outcome = rested_->outcome();
    rested_.reset();
    return wait_ended(d, outcome, error);
  }
  const use in(*this);
  if (!in) return wait_ended(d, sched::waiter::woken, error);
  if (!std::exchange(drained_[static_cast<int>(d)], false) || side(d).ended()) return true;
  const auto& limit = deadline_[static_cast<int>(d)];
  const std::uint32_t at_once = is_closed() ? sched::waiter::woken : side(d).rest(rested_, reason, limit);
  if (at_once == sched::waiter::pending) return std::nullopt;
  rested_.reset();
  return wait_ended(d, at_once, error);
}

void descriptor::set_deadline(direction d, sched::time_point at) noexcept {
  const sched::time_point before = deadline_[static_cast<int>(d)].exchange(at, std::memory_order_acq_rel);
  if (before != at) side(d).nudge();  // whoever waits looks at it again
}

void descriptor::close(void (*last)(int number)) noexcept {
  if ((uses_.fetch_or(closed, std::memory_order_acq_rel) & closed) != 0) return;
  if (last != nullptr) last(number_);
  record_->readable.notify();
  record_->writable.notify();
  leave();
}

std::string descriptor::local_address() noexcept {
  endpoint local;
  std::error_code error;
  run_now(error, [&](int number) {
    return arch::system_call([&] { return ::getsockname(number, local.get(), &local.length); });
  });
  return error ? "" : to_string(local);
}

void descriptor::disable_delay() noexcept {
  std::error_code ignored;
  run_now(ignored, [](int number) {
    const int yes = 1;
    return arch::system_call([&] { return ::setsockopt(number, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)); });
  });
}

}  // namespace gofer::inline v0::net
