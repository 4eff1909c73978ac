#pragma once

#include <stdexcept>

/// Small programs, each with a classic fault that exploring has to find. Each lies in the file of its name.
namespace seeded {

/// Throws if what the program promises does not hold.
inline void require(bool holds, const char* what) {
  if (!holds) throw std::logic_error(what);
}

void lost_wake_up();
void check_then_act();
void aba();
void double_checked_initialization();
void lock_order();
void unlock_too_early();
void wait_group_added_too_late();
void channel_closed_twice();
void select_leaving_a_waiter_behind();
void leaked_timer();
void mutex_timeout();
void remove_worker();
void stop_while_submitting();
void notify_one_of_two_kinds();
void task_taken_twice();
void upgrade_of_a_shared_lock();
void barrier_used_again();

}  // namespace seeded
