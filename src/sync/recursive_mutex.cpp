#include <gofer/recursive_mutex.hpp>

#include <cstdio>
#include <cstdlib>

#include "sched/fiber.hpp"
#include "sched/thread.hpp"

namespace gofer::inline v0 {

std::uint64_t recursive_mutex::caller() noexcept {
  const sched::caller who = sched::who_calls();
  if (who.running != nullptr) return who.running->id.load(std::memory_order_relaxed) * 2;
  return std::uint64_t{who.on->index} * 2 + 1;
}

void recursive_mutex::not_locked() noexcept {
  std::fputs("gofer: recursive_mutex::unlock: the caller has not locked the mutex\n", stderr);
  std::abort();
}

}  // namespace gofer::inline v0
