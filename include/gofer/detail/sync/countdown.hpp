#pragma once

#include <cstddef>

#include <gofer/detail/sync/wait_queue.hpp>

namespace gofer::inline v0::sync {

/// What a count may be.
inline constexpr std::ptrdiff_t most_counted = std::ptrdiff_t{1} << 31;

/// Adds `n`, which may be negative, to the count that is the queue's value; at zero lets all waiters go. What a
/// wait_group and a latch are. Throws std::logic_error with `below_zero`, changing nothing, if the count would fall
/// below zero, and with `too_many` if it would exceed `most_counted`.
void add_to_count(wait_queue& count, std::ptrdiff_t n, const char* operation, const char* below_zero,
                  const char* too_many);

/// Waits until the count is zero; false if the limit comes first.
bool wait_for_zero(wait_queue& count, const char* reason, const sched::wait_limit& limit);

}  // namespace gofer::inline v0::sync
