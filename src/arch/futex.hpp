#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace gofer::inline v0::arch {

/// Sleeps while `word` is `expected`, until `deadline` of the steady clock (`max()`: for ever). May return early.
/// Returns false when the deadline has passed.
bool futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::steady_clock::time_point deadline) noexcept;

/// Wakes one sleeper of `word`. The word itself is not read.
void futex_wake(std::atomic<std::uint32_t>& word) noexcept;

}  // namespace gofer::inline v0::arch
