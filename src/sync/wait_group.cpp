#include <gofer/wait_group.hpp>

#include <gofer/detail/sync/countdown.hpp>

namespace gofer::inline v0 {

void wait_group::add(std::ptrdiff_t n) {
  sync::add_to_count(tasks_, n, n < 0 ? "wait_group::done" : "wait_group::add",
                     "wait_group: done() called more often than add()", "wait_group: more than 2^31 tasks");
}

bool wait_group::wait(const sched::wait_limit& limit) { return sync::wait_for_zero(tasks_, "wait_group::wait", limit); }

}  // namespace gofer::inline v0
