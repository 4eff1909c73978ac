#pragma once

#include <gofer/wait_group.hpp>

namespace gofer::inline v0::nats {

/// Blocks until a wait group's tasks are done. False: the limit came first.
inline bool wait_for_all(wait_group& tasks, const sched::wait_limit& limit) {
  if (limit.stop != nullptr) return tasks.wait(*limit.stop);
  if (limit.deadline != sched::no_deadline) return tasks.wait_until(limit.deadline);
  tasks.wait();
  return true;
}

}  // namespace gofer::inline v0::nats
