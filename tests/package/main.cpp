#include <cstdio>
#include <stdexcept>

#include <gofer/gofer.hpp>

int main() {
  int sum = 0;
  gofer::run([&] {
    gofer::worker_pool<> pool({.min_workers = 3});
    for (int i = 1; i <= 100; ++i) pool.submit([i] { return i; });
    const gofer::chan<int> numbers(10);
    gofer::go([&] {
      for (int i = 1; i <= 100; ++i) numbers.send(i);
      numbers.close();
    });
    for (const int i : numbers) sum += i;
    try {  // an exception type of the library's is the same on both sides
      numbers.send(1);
    } catch (const gofer::channel_closed&) {
      ++sum;
    }
    pool.drain();
  });
  std::printf("%d\n", sum);
}
