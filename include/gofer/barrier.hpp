#pragma once

#include <chrono>
#include <cstddef>
#include <limits>
#include <mutex>
#include <stop_token>
#include <utility>

#include <gofer/condition_variable.hpp>
#include <gofer/mutex.hpp>

namespace gofer::inline v0 {

/// std::barrier for fibers and threads: a number of participants meet again and again; when all have arrived, one of
/// them runs the completion and all go on to the next phase. What a participant did before arriving happens before the
/// completion, and that before any participant goes on.
template <class CompletionFunction = decltype([]() noexcept {})>
class barrier {
 public:
  /// Says in which phase its owner arrived.
  class arrival_token {
   public:
    /// Moves only: a phase is waited for once.
    arrival_token(arrival_token&&) noexcept = default;
    arrival_token& operator=(arrival_token&&) noexcept = default;

   private:
    friend class barrier;
    explicit arrival_token(std::size_t phase) noexcept : phase_(phase) {}
    std::size_t phase_;
  };

  /// The most participants there can be.
  static constexpr std::ptrdiff_t max() noexcept { return std::numeric_limits<std::ptrdiff_t>::max(); }

  /// For `expected` participants a phase, of whom the last calls `completion`.
  explicit barrier(std::ptrdiff_t expected, CompletionFunction completion = CompletionFunction())
      : expected_(expected), missing_(expected), completion_(std::move(completion)) {}
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  /// Counts `n` participants as arrived; returns what `wait` waits with. Does not block.
  [[nodiscard]] arrival_token arrive(std::ptrdiff_t n = 1) {
    const std::scoped_lock hold(lock_);
    return arrival_token(arrive_locked(n));
  }

  /// Blocks until the phase in which the token was made is over.
  void wait(arrival_token&& token) {
    std::unique_lock hold(lock_);
    next_phase_.wait(hold, [&] { return phase_ != token.phase_; });
  }

  /// The same; return false when the time is up or a stop is requested first. The arrival counts all the same, and the
  /// token may be waited with again.
  template <class Rep, class Period>
  bool wait_for(const arrival_token& token, std::chrono::duration<Rep, Period> d) {
    std::unique_lock hold(lock_);
    return next_phase_.wait_for(hold, d, [&] { return phase_ != token.phase_; });
  }
  template <class Clock, class Duration>
  bool wait_until(const arrival_token& token, std::chrono::time_point<Clock, Duration> at) {
    std::unique_lock hold(lock_);
    return next_phase_.wait_until(hold, at, [&] { return phase_ != token.phase_; });
  }
  /// Returns false when a stop is requested before the phase ends.
  bool wait(const arrival_token& token, std::stop_token stop) {
    std::unique_lock hold(lock_);
    return next_phase_.wait(hold, std::move(stop), [&] { return phase_ != token.phase_; });
  }

  /// Arrives and blocks until the phase ends.
  void arrive_and_wait() {
    std::unique_lock hold(lock_);
    const std::size_t mine = arrive_locked(1);
    next_phase_.wait(hold, [&] { return phase_ != mine; });
  }

  /// Arrives, and takes part in no later phase.
  void arrive_and_drop() {
    const std::scoped_lock hold(lock_);
    --expected_;
    arrive_locked(1);
  }

 private:
  std::size_t arrive_locked(std::ptrdiff_t n) {
    const std::size_t mine = phase_;
    missing_ -= n;
    if (missing_ == 0) {
      completion_();
      missing_ = expected_;
      ++phase_;
      next_phase_.notify_all();
    }
    return mine;
  }

  mutex lock_;
  condition_variable next_phase_;
  std::ptrdiff_t expected_;
  std::ptrdiff_t missing_;
  std::size_t phase_ = 0;
  CompletionFunction completion_;
};

}  // namespace gofer::inline v0
