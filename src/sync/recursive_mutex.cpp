#include <gofer/recursive_mutex.hpp>

#include <cstdio>
#include <cstdlib>

#include <gofer/detail/sched/thread_index.hpp>
#include <gofer/go.hpp>

namespace gofer::inline v0 {
namespace {

/// Tells fibers and threads apart; never 0.
std::uint64_t caller() noexcept {
  const std::uint64_t fiber = this_fiber::id();
  return fiber != 0 ? fiber * 2 : std::uint64_t{sched::thread_index()} * 2 + 1;
}

}  // namespace

bool recursive_mutex::enter_again() noexcept {
  // The number first: a thread gets its own at its first use of the library, and it may be that of a thread which has
  // just ended. Whatever that one stored is in order before this, so what is read here is the caller's own number only
  // if the caller has stored it. Read before, it could be the other thread's.
  const std::uint64_t me = caller();
  if (owner_.load(std::memory_order_relaxed) != me) return false;
  ++depth_;
  return true;
}

void recursive_mutex::enter() noexcept {
  owner_.store(caller(), std::memory_order_relaxed);
  depth_ = 1;
}

void recursive_mutex::unlock() {
  if (owner_.load(std::memory_order_relaxed) != caller()) {
    std::fputs("gofer: recursive_mutex::unlock: the caller has not locked the mutex\n", stderr);
    std::abort();
  }
  if (--depth_ != 0) return;
  owner_.store(0, std::memory_order_relaxed);
  mutex_.unlock();
}

}  // namespace gofer::inline v0
