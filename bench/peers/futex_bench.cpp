// What waking a thread costs by a bare futex.

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "../row.hpp"

namespace {

/// Waits until the word is `wanted`, asleep.
void wait_for(std::atomic<std::uint32_t>& word, std::uint32_t wanted) {
  for (std::uint32_t seen = word.load(); seen != wanted; seen = word.load()) {
    syscall(SYS_futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, seen, nullptr, nullptr, 0);
  }
}

void wake(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  word.store(value);
  syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
}

void futex_wake_up(benchmark::State& state) {
  std::atomic<std::uint32_t> there{0};
  std::atomic<std::uint32_t> back{0};
  constexpr std::uint32_t last = 0xffffffff;
  std::jthread answers([&] {
    for (std::uint32_t seen = 0; seen != last;) {
      const std::uint32_t before = seen;
      while ((seen = there.load()) == before) {
        syscall(SYS_futex, &there, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, before, nullptr, nullptr, 0);
      }
      wake(back, seen);
    }
  });
  std::uint32_t round = 0;
  for (auto _ : state) {
    const auto before = std::chrono::steady_clock::now();
    wake(there, ++round);
    wait_for(back, round);
    const auto after = std::chrono::steady_clock::now();
    state.SetIterationTime(std::chrono::duration<double>(after - before).count());
    while (std::chrono::steady_clock::now() - after < std::chrono::microseconds(50)) {
    }
  }
  wake(there, last);
  report(state, 1);
}
BENCHMARK(futex_wake_up)->Name("bare futex: asleep, asked, answered")->UseManualTime();

}  // namespace
