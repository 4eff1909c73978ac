#include <gofer/condition_variable.hpp>

namespace gofer::inline v0 {

void condition_variable_any::enter(sync::wait_node& node) noexcept {
  sched::point("condition_variable::wait", this);
  waiters_.lock();
  waiters_.push_back(node);
  waiters_.unlock(0);
}

/// For one that has entered, but will not wait.
void condition_variable_any::leave(sync::wait_node& node) noexcept {
  if (node.who->claim(sched::waiter::timed_out)) {
    waiters_.leave(node);
  } else {  // notified meanwhile: that is somebody else's
    waiters_.wait(node);
    notify_one();
  }
}

void condition_variable_any::notify_one() noexcept {
  sched::point("condition_variable::notify_one", this);
  if (waiters_.load() == 0) return;
  waiters_.lock();
  sync::wait_node* first = waiters_.claim_first();
  waiters_.unlock(0);
  if (first != nullptr) first->who->wake();
}

void condition_variable_any::notify_all() noexcept {
  sched::point("condition_variable::notify_all", this);
  if (waiters_.load() == 0) return;
  waiters_.lock();
  sync::claimed_list all = waiters_.claim_all();
  waiters_.unlock(0);
  all.wake();
}

}  // namespace gofer::inline v0
