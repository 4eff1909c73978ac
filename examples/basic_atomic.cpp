// A counter without a lock.
#include <cstdio>

#include <gofer/gofer.hpp>

int main() {
  gofer::atomic_counter counter;
  gofer::wait_group fibers;
  for (int i = 0; i < 1000; ++i) fibers.go([&] { counter.increment(); });
  fibers.wait();
  std::printf("Final counter value: %ld\n", counter.load());

  const std::int64_t before = counter.load();
  std::int64_t expected = before;
  const bool swapped = counter.compare_exchange(expected, before + 100);
  std::printf("CompareAndSwap from %ld to %ld: %s\n", before, before + 100, swapped ? "true" : "false");
  std::printf("New value: %ld\n", counter.load());
}

// Final counter value: 1000
// CompareAndSwap from 1000 to 1100: true
// New value: 1100
