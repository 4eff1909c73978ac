// Uses the library before main, from a thread that is not the main one, forks and executes, and after main.

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <string>
#include <thread>

#include <gofer/gofer.hpp>

namespace {

/// What a library keeps for each thread, and takes its time to take apart.
struct kept_by_thread {
  static inline std::atomic<int> alive{0};
  kept_by_thread() { ++alive; }
  ~kept_by_thread() {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    --alive;
  }
};

[[gnu::noinline]] void use_what_threads_keep() {
  static thread_local kept_by_thread here;
  asm volatile("" : : "r"(&here));
}

int answer() {
  gofer::chan<int> ch;
  gofer::go([ch] {
    use_what_threads_keep();
    ch.send(42);
  });
  return ch.receive().value();
}

/// Destroyed after main has returned, when no fiber runs any more and their threads have ended: what needs none still
/// works.
gofer::fiber_local<std::string> name;
struct at_the_end {
  gofer::mutex lock;
  gofer::worker_pool<int> pool{[](int) {}};
  ~at_the_end() {
    const std::scoped_lock hold(lock);
    if (!name->empty()) std::puts("the thread's values should be gone");
    std::puts(kept_by_thread::alive == 0 ? "the end" : "threads are still ending");
  }
} last;

const int before_main = [] {
  int seen = 0;
  std::thread([&] { seen = answer(); }).join();  // a thread's first use is the program's first
  return seen;
}();

}  // namespace

int main() {
  *name = "a name that is too long for where short ones are kept";
  last.pool.submit(1);
  last.pool.wait_idle();
  if (before_main != 42 || answer() != 42) return 1;
  const pid_t child = fork();
  if (child == 0) {
    execlp("true", "true", nullptr);
    _exit(9);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) return 2;
  for (int i = 0; i < 1000; ++i) gofer::go([] { gofer::sleep_for(std::chrono::hours(1)); });
  // Until they wait: under a sanitizer a thousand take seconds to begin, and threads that run fibers are not waited for
  // as long as that.
  while (gofer::stats().parked < 1000) gofer::sleep_for(std::chrono::milliseconds(1));
  return answer() == 42 ? 0 : 3;
}
