// What the debug layer adds to the scheduler and the locks, by way of the hooks that these have.

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

#include <gofer/debug.hpp>

#include "debug/deadlock.hpp"
#include "debug/lock_reports.hpp"
#include "debug/overflow.hpp"
#include "debug/report.hpp"
#include "sched/hooks.hpp"
#include "sched/runtime.hpp"

/// The linker is told to look for this, so that the layer is part of every program, though nothing refers to it.
extern "C" {
extern const int gofer_debug_layer;
const int gofer_debug_layer = 1;
}

namespace gofer::inline v0::debug {
namespace {

void on_quit(int /*number*/) {
  const int error = errno;
  if (sched::runtime* r = sched::runtime::if_started()) r->watcher.request_dump();
  errno = error;
}

/// Takes SIGQUIT, whose default is to end the program with a core dump, unless the program has taken it.
void take_quit() noexcept {
  struct sigaction now{};
  if (sigaction(SIGQUIT, nullptr, &now) != 0 || (now.sa_flags & SA_SIGINFO) != 0 || now.sa_handler != SIG_DFL) return;
  struct sigaction ours{};
  ours.sa_handler = &on_quit;
  ours.sa_flags = SA_RESTART | SA_ONSTACK;  // fibers have little room
  sigaction(SIGQUIT, &ours, nullptr);
}

void dump_to_stderr(sched::runtime& /*r*/) noexcept {
  try {
    dump(STDERR_FILENO);
  } catch (...) {  // out of memory: there is nothing to be said
  }
}

void start() noexcept {
  take_quit();
  watch_for_overflow();
}

[[gnu::constructor]] void install() {
  sched::above.start.store(&start, std::memory_order_relaxed);
  sched::above.dump.store(&dump_to_stderr, std::memory_order_relaxed);
  sched::above.all_idle.store(&report_deadlock, std::memory_order_relaxed);
  install_lock_reports();
}

}  // namespace

void dump(int fd) {
  static std::mutex one_at_a_time;
  const std::scoped_lock hold(one_at_a_time);
  on_large_stack([fd] {
    report out(fd);
    sched::runtime* r = sched::runtime::if_started();
    if (r == nullptr) {
      out << "gofer: no fiber has been started\n";
      return;
    }
    out << "gofer: what all fibers are doing\n\n";
    const std::size_t count = out.everybody(*r);
    out << "gofer: " << std::to_string(count) << " fibers\n";
    if (!can_walk_stacks()) out << "gofer: without libunwind there are no stacks to be seen\n";
  });
}

}  // namespace gofer::inline v0::debug
