#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include <gofer/mutex.hpp>

#include "arch/system_call.hpp"
#include "net/address.hpp"
#include "net/network.hpp"
#include "sched/cooperate.hpp"
#include "sched/poller.hpp"

namespace gofer::inline v0::net {

/// The number of an open descriptor that nobody uses yet; closed unless it is released.
class open_number {
 public:
  explicit open_number(int number) noexcept : number_(number) {}
  open_number(open_number&& other) noexcept : number_(other.release()) {}
  open_number& operator=(open_number&&) = delete;
  ~open_number();
  int get() const noexcept { return number_; }
  int release() noexcept { return std::exchange(number_, -1); }

 private:
  int number_;
};

/// An open descriptor that fibers wait for. Its number is given back to the system only when nobody is in a call that
/// uses it, so that it never stands for another connection there.
class descriptor {
 public:
  /// Of a non-blocking one. Throws std::system_error, std::bad_alloc.
  descriptor(open_number number, const endpoint& remote);
  descriptor(const descriptor&) = delete;
  descriptor& operator=(const descriptor&) = delete;
  ~descriptor() { close(); }

  /// Calls `call(number)` until it succeeds; waits whenever it would have to. `call` makes system calls by way of
  /// arch::system_call and returns a result or minus an error number. -1 with an error.
  ///
  /// A result of less than `wanted` means that there was no more. Then the next call in this direction does not ask the
  /// kernel for what is not there yet, but waits first: whatever comes later is an edge of its own. The end of what the
  /// peer sends is not, if it came together with the last of it.
  template <class Call>
  long run(direction d, const char* reason, std::error_code& error, Call call, long wanted = 0) noexcept {
    sched::cooperate();  // a peer that is always ready must not keep the processor
    const use in(*this);
    if (!in) return fail(error, std::errc::operation_canceled);
    const std::scoped_lock hold(turn_[static_cast<int>(d)]);
    if (!wait_if_drained(d, reason, error) && is_closed()) return -1;
    for (;;) {
      const long result = call(number_);
      if (result >= 0) {
        drained_[static_cast<int>(d)] = result < wanted;
        error.clear();
        return result;
      }
      if (result == -EINTR) continue;
      if (result != -EAGAIN && result != -EINPROGRESS) {
        if (is_closed()) return fail(error, std::errc::operation_canceled);
        error.assign(static_cast<int>(-result), std::system_category());
        return -1;
      }
      if (!wait(d, reason, error)) return -1;
    }
  }

  /// As `run` without waiting: EAGAIN is an error like others.
  template <class Call>
  long run_now(std::error_code& error, Call call) noexcept {
    const use in(*this);
    if (!in) return fail(error, std::errc::operation_canceled);
    const long result = call(number_);
    error.assign(result >= 0 ? 0 : static_cast<int>(-result), std::system_category());
    return result;
  }

  /// Waits where `run` would before its first call. False with an error.
  bool wait_for_more(direction d, const char* reason, std::error_code& error) noexcept;

  /// As socket::rest.
  std::optional<bool> rest(const char* reason, std::error_code& error) noexcept;

  void set_deadline(direction d, sched::time_point at) noexcept;
  /// `last(number)` is called at once, while calls under way still keep the descriptor open.
  void close(void (*last)(int number) = nullptr) noexcept;
  const endpoint& remote() const noexcept { return remote_; }
  std::string local_address() noexcept;

  /// Small writes leave at once instead of waiting for the answer to the one before (TCP_NODELAY).
  void disable_delay() noexcept;

 private:
  /// Keeps the descriptor open while it lives; false if it is closed already.
  class use {
   public:
    explicit use(descriptor& d) noexcept : used_(d.enter() ? &d : nullptr) {}
    use(const use&) = delete;
    use& operator=(const use&) = delete;
    ~use() {
      if (used_ != nullptr) used_->leave();
    }
    explicit operator bool() const noexcept { return used_ != nullptr; }

   private:
    descriptor* used_;
  };

  static constexpr std::uint32_t closed = 1;
  static constexpr std::uint32_t one_use = 2;

  static long fail(std::error_code& error, std::errc code) noexcept {
    error = std::make_error_code(code);
    return -1;
  }
  bool is_closed() const noexcept { return (uses_.load(std::memory_order_acquire) & closed) != 0; }
  bool enter() noexcept;
  void leave() noexcept;
  sched::poll_side& side(direction d) noexcept { return d == direction::read ? record_->readable : record_->writable; }
  bool wait(direction d, const char* reason, std::error_code& error) noexcept;
  bool wait_ended(direction d, std::uint32_t outcome, std::error_code& error) const noexcept;
  /// With the turn: waits if the call before has taken all that there was. False with an error.
  bool wait_if_drained(direction d, const char* reason, std::error_code& error) noexcept {
    return !std::exchange(drained_[static_cast<int>(d)], false) || side(d).ended() || wait(d, reason, error);
  }

  // What every operation looks at comes first.
  const int number_;
  std::atomic<std::uint32_t> uses_{one_use};  // `closed`, and one_use for being open and for each call under way
  // By direction:
  std::atomic<sched::time_point> deadline_[2]{sched::no_deadline, sched::no_deadline};
  mutex turn_[2];
  bool drained_[2]{true, false};  // guarded by turn_; what comes before a descriptor is watched is an edge, too
  sched::poll_record* const record_;
  std::optional<sched::waiter> rested_;  // of the fiber that rests for what it can read, or has until it is called anew
  const endpoint remote_;
};

}  // namespace gofer::inline v0::net
