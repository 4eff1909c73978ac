#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "sched/owned.hpp"

namespace gofer::inline v0::sched {

/// How long the fibers of one processor have run of late between two switches. Owner only. Times are in any unit that
/// only grows; one that jumps back counts as very long.
class run_pace {
 public:
  /// Fewer switches than this do not speak for those to come.
  static constexpr unsigned window = 32;

  /// In what time `waiting` fibers and the running one are likely to have had their turn, by what is known at this
  /// time, after so many switches. The current window may only make it longer: what has just become slow is slow.
  std::uint64_t time_for(std::size_t waiting, std::uint64_t time, unsigned switches) noexcept {
    const unsigned runs = switches - begin_.get();
    const std::uint64_t current = (time - since_.get()) / (std::uint64_t{runs} + 1);
    if (runs < window) return std::max(current, before_.get()) * (waiting + 1);
    before_.set(current);
    since_.set(time);
    begin_.set(switches);
    return current * (waiting + 1);
  }

 private:
  owned<std::uint64_t> since_;   // when the current window began,
  owned<unsigned> begin_;        // after so many switches
  owned<std::uint64_t> before_;  // a run's time in the window before it
};

}  // namespace gofer::inline v0::sched
