#include "sched/fiber_depot.hpp"

#include "sched/processor.hpp"

namespace gofer::inline v0::sched {

void fiber_depot::grow() {
  const std::scoped_lock one_at_a_time(growing_);
  {
    const std::scoped_lock hold(lock_);
    if (free_.size() != 0) return;  // another thread has grown it meanwhile
  }
  auto* made = new slab;
  made->next = slabs_.load(std::memory_order_relaxed);
  slabs_.store(made, std::memory_order_release);
  free_list<fiber> chain;
  for (std::size_t i = blocks_at_once; i-- > 0;) chain.push(&made->blocks[i]);
  const std::scoped_lock hold(lock_);
  chain.move(chain.size(), free_);
}

fiber* fiber_depot::get(processor* p) {
  if (p != nullptr) {
    arch::take_up(&p->free_fibers);
    if (fiber* f = p->free_fibers.pop()) return f;
  }
  for (;; grow()) {
    const std::scoped_lock hold(lock_);
    fiber* f = free_.pop();
    if (f == nullptr) continue;
    if (p != nullptr) {  // some more for the fibers to come
      free_.move(batch - 1, p->free_fibers);
      arch::hand_on(&p->free_fibers);
    }
    return f;
  }
}

void fiber_depot::put(fiber* f, processor* p) noexcept {
  if (p != nullptr) {
    arch::take_up(&p->free_fibers);
    p->free_fibers.push(f);
    arch::hand_on(&p->free_fibers);
    if (p->free_fibers.size() <= kept_at_processor) return;
    const std::scoped_lock hold(lock_);
    p->free_fibers.move(batch, free_);
    return;
  }
  const std::scoped_lock hold(lock_);
  free_.push(f);
}

}  // namespace gofer::inline v0::sched
