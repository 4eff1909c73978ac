// Gives up waiting for a mutex after a while. What gave up has left nothing behind: the mutex can be locked again.
#include <chrono>
#include <cstdio>
#include <mutex>

#include <gofer/gofer.hpp>

#include "pace.hpp"

using namespace std::chrono_literals;

struct timed_counter {
  gofer::mutex mutex;
  int count = 0;

  bool increment_within(std::chrono::nanoseconds timeout) {
    const std::unique_lock hold(mutex, timeout);
    if (hold) ++count;
    return hold.owns_lock();
  }
  int value() {
    const std::scoped_lock hold(mutex);
    return count;
  }
};

int main() {
  timed_counter counter;
  counter.mutex.lock();

  gofer::wait_group fibers;
  fibers.go([&] {
    const bool done = counter.increment_within(pace(100ms));
    std::printf(done ? "Increment succeeded\n" : "Increment timed out\n");
  });
  gofer::sleep_for(pace(200ms));
  counter.mutex.unlock();
  fibers.wait();
  std::printf("Final counter value: %d\n", counter.value());

  const bool again = counter.increment_within(pace(100ms));
  std::printf("After the timeout: %s, counter value: %d\n", again ? "locked again" : "still locked", counter.value());
}

// Increment timed out
// Final counter value: 0
// After the timeout: locked again, counter value: 1
