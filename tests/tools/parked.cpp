// A program with fibers in known places, for the debuggers and memory checkers that the tests run it under.

#include <chrono>
#include <cstdio>
#include <thread>

#include <gofer/gofer.hpp>

namespace {

[[gnu::noinline]] void wait_for_the_end(gofer::latch& end) {
  end.wait();
  asm volatile("");  // no tail call
}

}  // namespace

/// A breakpoint is set here.
extern "C" [[gnu::noinline]] void everything_is_parked() { asm volatile(""); }

int main() {
  gofer::latch end(1);
  gofer::wait_group all;
  for (int i = 0; i < 3; ++i) {
    all.go([&, i] {
      gofer::this_fiber::set_name("parked-" + std::to_string(i));
      wait_for_the_end(end);
    });
  }
  while (gofer::stats().parked != 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  everything_is_parked();
  end.count_down();
  all.wait();
  std::puts("all have ended");
}
