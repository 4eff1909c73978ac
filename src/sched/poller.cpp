#include "sched/poller.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "sched/runtime.hpp"

namespace gofer::inline v0::sched {
namespace {

// An epoll event carries 64 bits: the record's address (48 bits on x86-64 and aarch64) and its generation.
constexpr unsigned address_bits = 48;

std::uint64_t tag(const poll_record* record, std::uint16_t generation) noexcept {
  return reinterpret_cast<std::uintptr_t>(record) | std::uint64_t{generation} << address_bits;
}

poll_record* record_of(std::uint64_t tag) noexcept {
  return reinterpret_cast<poll_record*>(tag & ((std::uint64_t{1} << address_bits) - 1));
}

}  // namespace

/// Lets `self` wait from now on, and returns `pending`; or says how its wait ends at once.
std::uint32_t poll_side::let_in(waiter& self, wait_limit& of_thread, const std::atomic<time_point>& deadline) noexcept {
  const std::scoped_lock hold(lock_);
  if (ready_) {
    ready_ = false;
    return waiter::woken;
  }
  // With the lock, which a nudge takes: a change before this is seen here, and one after this finds us waiting.
  const time_point until = deadline.load(std::memory_order_acquire);
  if (until == time_point::min()) return waiter::timed_out;
  if (self.owner().running == nullptr) {
    of_thread.deadline = until;
  } else {
    until_ = until;
    if (until < alarm_) set_alarm(until);
  }
  waiting_ = &self;
  return waiter::pending;
}

std::uint32_t poll_side::wait(const char* reason, const std::atomic<time_point>& deadline) noexcept {
  // In a program whose plain threads alone use the network no worker has been started that would sleep in the poller.
  auto& r = runtime::get();
  if (!r.network.occupied()) r.notify();
  wait_limit limit;  // of a plain thread, which keeps its time itself
  waiter self(reason, this, limit, wakers::kernel);
  if (const std::uint32_t at_once = let_in(self, limit, deadline); at_once != waiter::pending) return at_once;
  const std::uint32_t outcome = self.wait();
  if (outcome != waiter::woken) {
    const std::scoped_lock hold(lock_);
    if (waiting_ == &self) waiting_ = nullptr;
  }
  return outcome;
}

std::uint32_t poll_side::rest(std::optional<waiter>& self, const char* reason,
                              const std::atomic<time_point>& deadline) noexcept {
  wait_limit none;  // fibers' time is kept here
  self.emplace(reason, this, for_ever, wakers::kernel);
  const std::uint32_t at_once = let_in(*self, none, deadline);
  if (at_once == waiter::pending) self->rest();
  return at_once;
}

/// With the lock. Wakes somebody, a system call, only if no timer is earlier.
void poll_side::set_alarm(time_point at) noexcept {
  timer_heap::cancel(*this);
  alarm_ = at;
  runtime::get().add_timer(this_thread(), *this, to_ns(at));
}

timer_entry::action poll_side::expire(timer_entry& entry) noexcept {
  return {.run = [](void* side) noexcept { static_cast<poll_side*>(side)->on_alarm(); },
          .argument = static_cast<poll_side*>(&entry)};
}

void poll_side::on_alarm() noexcept {
  waiter* claimed = nullptr;
  {
    const std::scoped_lock hold(lock_);
    alarm_ = no_deadline;
    if (waiting_ == nullptr || waiting_->owner().running == nullptr || until_ == no_deadline) return;
    if (now() < until_) {
      set_alarm(until_);
    } else if (waiting_->claim(waiter::timed_out)) {
      claimed = std::exchange(waiting_, nullptr);
    }
  }
  if (claimed != nullptr) claimed->wake();
}

void poll_side::cancel_alarm() noexcept {
  const std::scoped_lock hold(lock_);
  timer_heap::cancel(*this);
  alarm_ = no_deadline;
}

void poll_side::forget() noexcept {
  const std::scoped_lock hold(lock_);
  ready_ = false;
  ended_.store(false, std::memory_order_relaxed);
}

void poll_side::notify() noexcept { release(true); }

void poll_side::nudge() noexcept { release(false); }

void poll_side::release(bool remember) noexcept {
  waiter* claimed = nullptr;
  {
    const std::scoped_lock hold(lock_);
    if (waiting_ != nullptr && waiting_->claim(waiter::woken)) {
      claimed = waiting_;
    } else if (remember) {
      ready_ = true;
    }
    waiting_ = nullptr;
  }
  if (claimed != nullptr) claimed->wake();
}

poller::poller() : poller(epoll_create1(EPOLL_CLOEXEC)) {
  if (epoll_ < 0) throw std::system_error(errno, std::system_category(), "gofer: cannot make an epoll instance");
  interrupter_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (interrupter_ < 0) throw std::system_error(errno, std::system_category(), "gofer: cannot make an eventfd");
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;  // every write is an edge, so the counter need not be read back
  event.data.u64 = 0;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, interrupter_, &event) != 0) {
    throw std::system_error(errno, std::system_category(), "gofer: cannot watch an eventfd");
  }
}

poller::~poller() {
  for (const int each : {epoll_, interrupter_}) {
    if (each >= 0) ::close(each);
  }
}

poll_record* poller::open(int descriptor) {
  poll_record* record = nullptr;
  {
    const std::scoped_lock hold(lock_);
    record = free_;
    if (record != nullptr) free_ = record->next_free;
  }
  if (record == nullptr) record = new poll_record;
  record->readable.forget();
  record->writable.forget();
  arch::hand_on(record);  // by way of the kernel, to who delivers its events
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = tag(record, record->generation);
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) {
    const int error = errno;
    const std::scoped_lock hold(lock_);
    record->next_free = free_;
    free_ = record;
    throw std::system_error(error, std::system_category(), "gofer: cannot watch a descriptor");
  }
  watched_.fetch_add(1, std::memory_order_relaxed);
  return record;
}

void poller::close(int descriptor, poll_record* record) noexcept {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
  {
    const std::scoped_lock hold(record->lock);
    ++record->generation;  // events already brought from the kernel are nobody's now
  }
  record->readable.cancel_alarm();
  record->writable.cancel_alarm();
  watched_.fetch_sub(1, std::memory_order_relaxed);
  const std::scoped_lock hold(lock_);
  record->next_free = free_;
  free_ = record;
}

unsigned poller::deliver(const events& brought) noexcept {
  unsigned delivered = 0;
  for (int i = 0; i < brought.count; ++i) {
    const epoll_event& event = brought.list[static_cast<std::size_t>(i)];
    if (event.data.u64 == 0) continue;  // an interrupt
    poll_record* record = record_of(event.data.u64);
    arch::take_up(record);
    {
      // If the record is reopened right after this, its new user tries once for nothing.
      const std::scoped_lock hold(record->lock);
      if (tag(record, record->generation) != event.data.u64) continue;
    }
    // Before the edge is passed on: whoever missed it here waits, and is let through.
    if ((event.events & EPOLLRDHUP) != 0) record->readable.ended_.store(true, std::memory_order_release);
    if ((event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) record->readable.notify();
    if ((event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) record->writable.notify();
    ++delivered;
  }
  return delivered;
}

unsigned poller::poll(std::size_t most) noexcept {
  looks_.fetch_add(1, std::memory_order_relaxed);
  events some;
  some.count = epoll_wait(epoll_, some.list.data(), static_cast<int>(std::min<std::size_t>(most, events::most)), 0);
  return deliver(some);
}

void poller::wait(std::int64_t deadline, events& brought) noexcept {
  timespec limit{};
  timespec* until = nullptr;
  if (deadline != timer_heap::never) {
    const std::int64_t left = std::max<std::int64_t>(0, deadline - to_ns(now()));
    limit.tv_sec = left / 1'000'000'000;
    limit.tv_nsec = left % 1'000'000'000;
    until = &limit;
  }
  brought.count = epoll_pwait2(epoll_, brought.list.data(), events::most, until, nullptr);
  looks_.fetch_add(1, std::memory_order_relaxed);
  if (brought.count < 0 && errno == ENOSYS) {  // before Linux 5.11: milliseconds, rounded up
    const auto ms = until == nullptr ? -1
                                     : static_cast<int>(std::min<std::int64_t>(
                                           (limit.tv_sec * 1'000 + (limit.tv_nsec + 999'999) / 1'000'000), 1'000'000));
    brought.count = epoll_wait(epoll_, brought.list.data(), events::most, ms);
  }
}

void poller::interrupt() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(interrupter_, &one, sizeof(one));
}

}  // namespace gofer::inline v0::sched
