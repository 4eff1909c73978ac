// Fan out, fan in: several workers take their work from one channel and send what they find to another, which is closed
// when the last of them has finished. For more than this, such as errors and limits, see gofer::worker_pool.
#include <chrono>
#include <cstdio>

#include <gofer/gofer.hpp>

#include "../pace.hpp"

using namespace std::chrono_literals;

/// The longest sequence of halving and trebling-plus-one among starts below a bound, by Collatz.
struct longest {
  long start = 0;
  int steps = 0;
};

longest search(long from, long to) {
  longest best;
  for (long start = from; start < to; ++start) {
    int steps = 0;
    for (long n = start; n != 1; ++steps) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    if (steps > best.steps) best = {.start = start, .steps = steps};
  }
  return best;
}

int main() {
  constexpr int workers = 4;
  constexpr long limit = 100'000;
  constexpr long part = 5'000;

  const gofer::chan<long> parts;
  gofer::go([parts] {
    for (long from = 1; from < limit; from += part) parts.send(from);
    parts.close();
  });

  const gofer::chan<longest> found;
  gofer::go([parts, found] {
    gofer::wait_group all;
    for (int i = 0; i < workers; ++i) {
      all.go([&] {
        for (const long from : parts) found.send(search(from, from + part));
      });
    }
    all.wait();
    found.close();
  });

  longest best;
  int count = 0;
  for (const longest& one : found) {
    ++count;
    if (one.steps > best.steps) best = one;
  }
  std::printf("%d parts by %d workers: %ld takes %d steps\n", count, workers, best.start, best.steps);
}

// 20 parts by 4 workers: 77031 takes 350 steps
