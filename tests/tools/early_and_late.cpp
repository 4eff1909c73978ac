// Uses the library before main, from a thread that is not the main one, forks and executes, and after main.

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include <gofer/gofer.hpp>

namespace {

int answer() {
  gofer::chan<int> ch;
  gofer::go([ch] { ch.send(42); });
  return ch.receive().value();
}

/// Destroyed after main has returned, when no fiber runs any more: what needs none still works.
struct at_the_end {
  gofer::mutex lock;
  ~at_the_end() {
    const std::scoped_lock hold(lock);
    std::puts("the end");
  }
} last;

const int before_main = [] {
  int seen = 0;
  std::thread([&] { seen = answer(); }).join();  // a thread's first use is the program's first
  return seen;
}();

}  // namespace

int main() {
  if (before_main != 42 || answer() != 42) return 1;
  const pid_t child = fork();
  if (child == 0) {
    execlp("true", "true", nullptr);
    _exit(9);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) return 2;
  for (int i = 0; i < 1000; ++i) gofer::go([] { gofer::sleep_for(std::chrono::hours(1)); });
  return answer() == 42 ? 0 : 3;
}
