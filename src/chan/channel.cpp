#include <gofer/detail/chan/channel.hpp>

#include <string>

#include <gofer/chan.hpp>

namespace gofer::inline v0::channels {

void throw_closed(const char* operation) { throw channel_closed(std::string(operation) + ": the channel is closed"); }

bool channel_base::close() noexcept {
  sched::point("chan::close", this);
  sync::claimed_list woken;
  {
    const std::scoped_lock hold(lock);
    if (closed_.exchange(true, std::memory_order_acq_rel)) return false;
    for (sync::wait_list* queue : {&receivers, &senders}) {
      while (sync::wait_node* n = queue->pop_front()) {
        if (n->who->claim(static_cast<channel_node*>(n)->claimed_as)) woken.push(*n);
      }
    }
  }
  woken.wake();
  return true;
}

waited channel_base::wait(const char* reason, sync::wait_list& queue, void* slot,
                          const sched::wait_limit& limit) noexcept {
  sched::waiter self(reason, this, limit);
  channel_node node(self, sched::waiter::woken, slot);
  queue.push_back(node);
  lock.unlock();
  const std::uint32_t outcome = self.wait();
  if (outcome == sched::waiter::woken) return {.outcome = outcome, .transferred = node.transferred};
  sched::point("chan: leaving the queue", this);
  const std::scoped_lock hold(lock);
  queue.remove(node);
  return {.outcome = outcome, .transferred = false};
}

}  // namespace gofer::inline v0::channels
