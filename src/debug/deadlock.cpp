#include "debug/deadlock.hpp"

#include <dirent.h>
#include <unistd.h>

#include <cstdlib>

#include <gofer/detail/sync/lock_watch.hpp>

#include "debug/report.hpp"
#include "sched/inspect.hpp"

namespace gofer::debug {
namespace {

/// How many threads the kernel says this process has; 0 if it does not say.
unsigned threads_of_process() noexcept {
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr) return 0;
  unsigned count = 0;
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.' ? 1 : 0;
  closedir(folder);
  return count;
}

/// True if some fiber can be woken from outside, or does not wait.
bool somebody_may_run(sched::runtime& r, std::size_t& count) {
  bool may = false;
  r.fibers.for_each([&](const sched::fiber& f) {
    if (may || f.id.load(std::memory_order_acquire) == 0) return;
    const sched::inspection inspected(r, f);
    if (inspected.seen.id == 0) return;
    ++count;
    may = inspected.seen.what != sched::sighting::state::waiting || inspected.seen.outside;
  });
  return may;
}

}  // namespace

bool report_deadlock(sched::runtime& r) noexcept {
  if (!sched::all_asleep(r)) return false;  // what goes on will come to an end, and we are asked again then
  unsigned threads = 0;
  sched::for_each_waiting_thread(r, [&](const sched::sighting& seen) { threads += seen.for_ever ? 1 : 0; });
  // All workers sleep, the monitor is here; every other thread has to be one that waits for a fiber or for another.
  if (threads_of_process() != r.workers.load(std::memory_order_acquire) + 1 + threads) return true;
  std::size_t fibers = 0;
  if (somebody_may_run(r, fibers) || fibers + threads == 0) return false;
  if (!sched::all_asleep(r) || r.stopping()) return false;
  {
    report out(STDERR_FILENO);
    out << "gofer: all fibers are asleep: deadlock\n\n";
    out.everybody(r);
    if (!sync::lock_order_watched) {
      out << "Each of these waits for another. To see who holds which mutex, run with GOFER_LOCK_ORDER=1.\n";
    }
  }
  std::abort();
}

}  // namespace gofer::debug
