#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include <gofer/detail/sched/thread_index.hpp>
#include <gofer/detail/sched/time.hpp>

#include "arch/exception_state.hpp"
#include "arch/sanitizer.hpp"
#include "sched/owned.hpp"

namespace gofer::inline v0::sched {

class explorer;
struct fiber;
struct processor;

/// Puts one OS thread to sleep and wakes it. A signal is remembered until the next wait.
class parker {
 public:
  /// Returns false if the deadline passed without a signal. Before it sleeps it looks for one so many pauses long.
  bool wait(time_point deadline, unsigned pauses = 0) noexcept;
  void signal() noexcept;

 private:
  enum : std::uint32_t { empty, signaled, sleeping };
  std::atomic<std::uint32_t> state_{empty};
};

/// What the library knows of an OS thread. Made at the thread's first use of the library; when it ends the record is
/// kept for a later thread, so that a pointer to one never dangles.
struct thread {
  unsigned index = 0;
  owned<fiber*> running;                     // the fiber on this thread; null: its own code, or the scheduler's
  owned<processor*> proc;                    // the processor it runs; null on plain threads and inside blocking()
  owned<arch::exception_state*> exceptions;  // this thread's slot
  owned<explorer*> explores;                 // who decides here which fiber runs, in an exploration
  bool of_runtime = false;                   // a worker, or the monitor
  std::atomic<int> kernel_thread{0};         // its number there; 0: it has ended
  parker sleep;

  // Of plain threads that wait:
  std::atomic<const char*> waiting_in{nullptr};
  owned<const void*> waiting_on;
  owned<std::uint32_t> waiting_since;  // of the runtime's coarse clock
  owned<std::uint64_t> waits;          // so far
  owned<bool> waits_for_ever;          // for fibers or other threads, without a limit

  // Of worker threads:
  void* scheduler_sp = nullptr;  // the scheduler's context while a fiber runs
  arch::sanitized_stack sanitized;
  bool searching = false;                     // counted in idle_set's searchers
  std::atomic<processor*> assigned{nullptr};  // what a waker gave it to run
  thread* next_spare = nullptr;               // guarded by idle_set's lock

  thread* next_made = nullptr;  // the list of all records
  thread* next_free = nullptr;  // of those that no thread has
};

/// A record that no thread has yet. Throws std::bad_alloc.
thread* take_record();
void give_back_record(thread* record) noexcept;

/// For a thread to come, which then needs no memory for it.
struct give_back_unused {
  void operator()(thread* record) const noexcept { give_back_record(record); }
};
using thread_record = std::unique_ptr<thread, give_back_unused>;

/// The first thing that a thread of the runtime does.
void begin_thread(thread_record record) noexcept;

/// What thread_index returns, once it has been asked on this thread, for functions that are never inlined and do not
/// switch: they may read a thread-local. Atomic for TSan, to which each fiber is a thread.
inline constexpr unsigned no_index = static_cast<unsigned>(-1);
extern constinit thread_local std::atomic<unsigned> index_here;

/// The first of all records that were ever made.
thread* first_thread() noexcept;

/// The calling thread's record. Never inlined, and asked for again after every switch: a fiber may resume on another
/// thread, and compilers keep addresses of thread-locals across calls (GCC PR 26461).
thread& this_thread() noexcept;

}  // namespace gofer::inline v0::sched
