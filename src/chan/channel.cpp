#include <gofer/detail/chan/channel.hpp>

#include <string>

#include <gofer/chan.hpp>

namespace gofer::channels {

void throw_closed(const char* operation) { throw channel_closed(std::string(operation) + ": the channel is closed"); }

bool channel_base::close() noexcept {
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

std::uint32_t channel_base::wait(sync::wait_list& queue, channel_node& node) noexcept {
  const std::uint32_t outcome = node.who->wait();
  if (outcome == node.claimed_as) return outcome;
  const std::scoped_lock hold(lock);
  queue.remove(node);
  return outcome;
}

}  // namespace gofer::channels
