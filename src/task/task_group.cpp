#include <gofer/task_group.hpp>

#include <gofer/detail/sched/insist.hpp>

namespace gofer::inline v0 {

task_group::task_group() = default;

task_group::task_group(std::stop_token parent) {
  if (parent.stop_possible()) parent_.emplace(std::move(parent), forward_stop{this});
}

task_group::~task_group() {
  cancel();
  std::unique_lock hold(lock_);
  changed_.wait(hold, [&] { return running_ == 0; });
}

void task_group::limit(std::size_t n) {
  const std::scoped_lock hold(lock_);
  limit_ = n;
  changed_.notify_all();
}

void task_group::enter() {
  std::unique_lock hold(lock_);
  changed_.wait(hold, [&] { return limit_ == 0 || running_ < limit_; });
  ++running_;
}

bool task_group::try_enter() {
  const std::scoped_lock hold(lock_);
  if (limit_ != 0 && running_ >= limit_) return false;
  ++running_;
  return true;
}

void task_group::leave(std::exception_ptr error) {
  if (error != nullptr) {
    {
      const std::scoped_lock hold(lock_);
      sched::insist([&] { errors_.push_back(std::move(error)); });
    }
    cancel();  // after that: what others throw because of it comes behind its cause; and before the group can be gone
  }
  const std::scoped_lock hold(lock_);
  --running_;
  changed_.notify_all();  // under the lock: the group may be destroyed once it is free
}

std::vector<std::exception_ptr> task_group::take_errors() {
  std::unique_lock hold(lock_);
  changed_.wait(hold, [&] { return running_ == 0; });
  return std::exchange(errors_, {});
}

void task_group::wait() {
  const auto errors = take_errors();
  if (!errors.empty()) std::rethrow_exception(errors.front());
}

std::vector<std::exception_ptr> task_group::wait_all() { return take_errors(); }

}  // namespace gofer::inline v0
