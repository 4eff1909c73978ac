#include "arch/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <gofer/detail/arch/cpu.hpp>

namespace gofer::inline v0::arch {

bool futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                std::chrono::steady_clock::time_point deadline) noexcept {
#if defined(GOFER_TSAN)
  // TSan puts signals off until the thread calls something that it intercepts, which this thread might never do again.
  const auto wanted = deadline;
  deadline = std::min(deadline, std::chrono::steady_clock::now() + std::chrono::milliseconds(20));
  // Any will do that is cheap; usleep is not: TSan walks all of its contexts after each.
  [[maybe_unused]] const auto none = ::read(-1, nullptr, 0);
#endif
  timespec at{};
  timespec* limit = nullptr;
  if (deadline != std::chrono::steady_clock::time_point::max()) {
    const auto since_boot = std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch());
    if (since_boot.count() <= 0) return false;
    at.tv_sec = since_boot.count() / 1'000'000'000;
    at.tv_nsec = since_boot.count() % 1'000'000'000;
    limit = &at;
  }
  // FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC, which is the steady clock.
  const long result = syscall(SYS_futex, &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, limit, nullptr,
                              FUTEX_BITSET_MATCH_ANY);
  const int error = errno;
#if defined(GOFER_TSAN)
  if (deadline != wanted) return true;
#endif
  return !(result == -1 && error == ETIMEDOUT);
}

void futex_wake(std::atomic<std::uint32_t>& word) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
}

}  // namespace gofer::inline v0::arch
