#include <gofer/call_once.hpp>

namespace gofer::inline v0 {

bool once_flag::begin() {
  for (;;) {
    sched::point("call_once", this);
    sched::waiter self("once_flag::call_once", this, sched::for_ever);
    sync::wait_node node(self);
    const std::uint64_t state = state_.lock();
    if (state == running) state_.push_back(node);
    state_.unlock(state == never ? running : state);
    if (state != running) return state == never;
    state_.wait(node);  // then look again: the call may have thrown
  }
}

void once_flag::end(std::uint64_t state) noexcept {
  sched::point("call_once: done", this);
  state_.lock();
  sync::claimed_list all = state_.claim_all();
  state_.unlock(state);
  all.wake();
}

}  // namespace gofer::inline v0
