#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stop_token>
#include <utility>

#include <gofer/detail/sync/wait_queue.hpp>

namespace gofer::inline v0 {

namespace sync {

/// The phases of a barrier, how many are missing in the current one, and those who wait for its end.
class phases {
 public:
  static constexpr std::ptrdiff_t max = std::numeric_limits<std::int32_t>::max();

  explicit phases(std::ptrdiff_t expected);

  /// The phase in which `n` participants have arrived, and whether they were the last: then `end_phase` is to be
  /// called.
  struct arrival {
    std::uint32_t phase;
    bool last;
  };
  arrival arrive(std::ptrdiff_t n);
  /// One participant arrives, and fewer are expected in later phases.
  arrival drop();
  void end_phase() noexcept;
  /// Waits until that phase has ended; false if the limit comes first.
  bool wait(std::uint32_t phase, const sched::wait_limit& limit) const;

 private:
  mutable wait_queue word_;                 // the phase, and below it 32 bits for how many are missing
  sched::atomic<std::ptrdiff_t> expected_;  // in the next phase
};

struct no_completion {
  void operator()() const noexcept {}
};

}  // namespace sync

/// std::barrier for fibers and threads: a number of participants meet again and again; when all have arrived, the last
/// of them runs the completion and all go on to the next phase. What a participant did before arriving happens before
/// the completion, and that before any participant goes on. A completion must not wait for the barrier; what it throws
/// leaves the call that ran it, and the others go on. May be destroyed as soon as all waits have returned.
template <class CompletionFunction = sync::no_completion>
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
    explicit arrival_token(std::uint32_t phase) noexcept : phase_(phase) {}
    std::uint32_t phase_;
  };

  /// The most participants there can be.
  static constexpr std::ptrdiff_t max() noexcept { return sync::phases::max; }

  /// For `expected` participants a phase, of whom the last calls `completion`. Throws std::logic_error if `expected` is
  /// negative or above max().
  explicit barrier(std::ptrdiff_t expected, CompletionFunction completion = CompletionFunction())
      : phases_(expected), completion_(std::move(completion)) {}
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  /// Counts `n` participants as arrived; returns what `wait` waits with. Does not block. Throws std::logic_error,
  /// changing nothing, if these are more than are missing in this phase, or not even one.
  [[nodiscard]] arrival_token arrive(std::ptrdiff_t n = 1) { return arrival_token(completed(phases_.arrive(n))); }

  /// Blocks until the phase in which the token was made is over.
  void wait(arrival_token&& token) const { phases_.wait(token.phase_, sched::for_ever); }

  /// The same; return false when the time is up or a stop is requested first. The arrival counts all the same, and the
  /// token may be waited with again.
  template <class Rep, class Period>
  bool wait_for(const arrival_token& token, std::chrono::duration<Rep, Period> d) const {
    return phases_.wait(token.phase_, {.deadline = sched::deadline_after(d)});
  }
  template <class Clock, class Duration>
  bool wait_until(const arrival_token& token, std::chrono::time_point<Clock, Duration> at) const {
    return phases_.wait(token.phase_, {.deadline = sched::deadline_at(at)});
  }
  /// Returns false when a stop is requested before the phase ends.
  bool wait(const arrival_token& token, std::stop_token stop) const {
    return phases_.wait(token.phase_, {.stop = &stop});
  }

  /// Arrives and blocks until the phase ends. Throws as `arrive` does.
  void arrive_and_wait() {
    const sync::phases::arrival mine = phases_.arrive(1);
    completed(mine);
    if (!mine.last) phases_.wait(mine.phase, sched::for_ever);
  }

  /// Arrives, and takes part in no later phase. Throws as `arrive` does.
  void arrive_and_drop() { completed(phases_.drop()); }

 private:
  /// Runs the completion if it is due; returns the phase.
  std::uint32_t completed(const sync::phases::arrival& mine) {
    if (!mine.last) return mine.phase;
    struct end {
      sync::phases& of;
      ~end() { of.end_phase(); }
    } const afterwards{phases_};
    completion_();
    return mine.phase;
  }

  sync::phases phases_;
  [[no_unique_address]] CompletionFunction completion_;
};

}  // namespace gofer::inline v0
