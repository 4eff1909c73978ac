#include "debug/deadlock.hpp"

#include <dirent.h>
#include <unistd.h>

#include <cstdlib>

#include <gofer/detail/sync/lock_watch.hpp>

#include "debug/report.hpp"
#include "sched/inspect.hpp"

namespace gofer::inline v0::debug {
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

/// The plain threads that wait for a fiber or for another thread, without a limit.
struct waiting_threads {
  unsigned count = 0;
  std::uint64_t waits = 0;  // of them all, so far
  bool operator==(const waiting_threads&) const = default;
};

waiting_threads count_waiting_threads(sched::runtime& r) {
  waiting_threads all;
  sched::for_each_waiting_thread(r, [&](const sched::sighting& seen) {
    if (!seen.for_ever) return;
    ++all.count;
    all.waits += seen.waits;
  });
  return all;
}

enum class verdict { goes_on, may_come_to_it, deadlock };

/// What is seen here is seen bit by bit. It was all true at one moment, if nobody did anything between the first look
/// and the last: no worker took a processor, and no thread ended a wait.
verdict judge(sched::runtime& r) {
  const std::uint64_t takes = r.idle.takes();
  if (!sched::all_asleep(r)) return verdict::goes_on;
  const waiting_threads threads = count_waiting_threads(r);
  // All workers sleep, the monitor is here; every other thread has to be one that waits.
  if (threads_of_process() != r.workers.load(std::memory_order_acquire) + 1 + threads.count)
    return verdict::may_come_to_it;
  std::size_t fibers = 0;
  if (somebody_may_run(r, fibers) || fibers + threads.count == 0) return verdict::goes_on;
  if (count_waiting_threads(r) != threads || r.idle.takes() != takes || r.stopping()) return verdict::may_come_to_it;
  return verdict::deadlock;
}

}  // namespace

bool report_deadlock(sched::runtime& r) noexcept {
  const verdict seen = judge(r);
  // What goes on will come to an end, and we are asked again then.
  if (seen != verdict::deadlock) return seen == verdict::may_come_to_it;
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

}  // namespace gofer::inline v0::debug
