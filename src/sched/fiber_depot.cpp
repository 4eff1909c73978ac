#include "sched/fiber_depot.hpp"

#include <memory>
#include <utility>

#include "sched/processor.hpp"

namespace gofer::inline v0::sched {

void fiber_depot::grow() {
  const std::scoped_lock one_at_a_time(growing_);
  {
    const std::scoped_lock hold(lock_);
    if (!free_.empty()) return;  // another thread has grown it meanwhile
  }
  auto free = stock<fiber>::make_slab(blocks_at_once);
  auto blocks = std::make_unique<slab>();
  runnable_.make_room();
  slab* made = blocks.release();
  made->next = slabs_.load(std::memory_order_relaxed);
  slabs_.store(made, std::memory_order_release);
  for (std::size_t i = blocks_at_once; i-- > 0;) free.front().push_back(&made->blocks[i]);
  const std::scoped_lock hold(lock_);
  free_.add(std::move(free));
}

fiber* fiber_depot::get(processor* p) {
  if (p != nullptr) {
    arch::take_up(&p->free_fibers);
    if (fiber* f = p->free_fibers.pop()) return f;
  }
  for (;; grow()) {
    const std::scoped_lock hold(lock_);
    if (free_.empty()) continue;
    fiber* f = free_.pop();
    if (p != nullptr) {  // some more for the fibers to come
      while (p->free_fibers.size() < batch && !free_.empty()) p->free_fibers.push(free_.pop());
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
    if (p->free_fibers.size() < fiber_magazine::capacity) return;
    const auto oldest = p->free_fibers.take_oldest<batch>();
    const std::scoped_lock hold(lock_);
    for (fiber* one : oldest) free_.push(one);
    return;
  }
  const std::scoped_lock hold(lock_);
  free_.push(f);
}

}  // namespace gofer::inline v0::sched
