#include "sched/fiber_depot.hpp"

#include <bit>
#include <new>

#include "arch/stack.hpp"
#include "sched/processor.hpp"

#if defined(GOFER_ASAN)
#include <sanitizer/lsan_interface.h>
#endif

namespace gofer::sched {
namespace {

/// Control blocks at the same offset of many pages would share a few sets of the caches; these offsets spread them,
/// within the one page that a parked fiber may hold.
constexpr std::size_t colors = 16;

fiber* make_fiber(std::byte* stack, std::size_t size, std::size_t color) noexcept {
  constexpr std::size_t block = (sizeof(fiber) + arch::cache_line - 1) / arch::cache_line * arch::cache_line;
  auto* f = new (stack + size - block - color * arch::cache_line) fiber;
  f->stack = stack;
  f->stack_size = size;
  f->sanitized.adopt_stack(stack, size);
  return f;
}

}  // namespace

std::size_t fiber_depot::round(std::size_t size) noexcept {
  constexpr std::size_t least = std::size_t{16} * 1024;
  constexpr std::size_t most = std::size_t{1} << 40;
  return std::bit_ceil(std::min(std::max(size, least), most));
}

/// Takes up to `count` free fibers off a class, chained by their links; null if there are none.
fiber* fiber_depot::take(size_class& from, unsigned count) noexcept {
  const std::scoped_lock hold(from.lock);
  fiber* first = from.free;
  if (first == nullptr) return nullptr;
  fiber* last = first;
  while (--count > 0 && last->link.get() != nullptr) last = last->link.get();
  from.free = last->link.get();
  last->link.set(nullptr);
  return first;
}

fiber* fiber_depot::grow(size_class& into, std::size_t stack_size) {
  const std::scoped_lock one_at_a_time(into.growing);
  if (fiber* f = take(into, 1)) return f;  // another thread grew the class meanwhile
  constexpr std::size_t slab_bytes = std::size_t{16} * 1024 * 1024;
  const std::size_t count = std::max<std::size_t>(1, slab_bytes / stack_size);
  std::byte* base = arch::reserve_stacks(stack_size, count);
#if defined(GOFER_ASAN)
  // What only an abandoned fiber points to is not a leak. The guards are left out: they cannot be read.
  for (std::size_t i = 0; i < count; ++i) {
    __lsan_register_root_region(base + i * stack_size + arch::page_size(), stack_size - arch::page_size());
  }
#endif
  // Made one by one as they are needed would touch less memory at once, but a slab is only 64 pages of it.
  fiber* chain = nullptr;
  for (std::size_t i = count; i-- > 1;) {
    fiber* f = make_fiber(base + i * stack_size, stack_size, i % colors);
    f->link.set(chain);
    chain = f;
  }
  if (chain != nullptr) {
    const std::scoped_lock hold(into.lock);
    fiber* last = chain;
    while (last->link.get() != nullptr) last = last->link.get();
    last->link.set(into.free);
    into.free = chain;
  }
  return make_fiber(base, stack_size, 0);
}

fiber* fiber_depot::get(std::size_t stack_size, std::size_t default_size, processor* p) {
  const bool cached = p != nullptr && stack_size == default_size;
  if (cached) {
    arch::take_up(&p->free_fibers);
    if (fiber* f = p->free_fibers.get()) {
      p->free_fibers.set(f->link.get());
      p->free_count.add(-1U);
      return f;
    }
  }
  size_class& sized = classes_[std::countr_zero(stack_size)];
  fiber* f = take(sized, cached ? batch : 1);
  if (f == nullptr) return grow(sized, stack_size);
  if (cached) {  // the rest of the batch is for the fibers to come
    fiber* rest = f->link.get();
    unsigned count = 0;
    for (fiber* each = rest; each != nullptr; each = each->link.get()) ++count;
    p->free_fibers.set(rest);
    p->free_count.set(count);
    arch::hand_on(&p->free_fibers);
  }
  return f;
}

void fiber_depot::put(fiber* f, std::size_t default_size, processor* p) noexcept {
  fiber* last = f;
  if (p != nullptr && f->stack_size == default_size) {
    arch::take_up(&p->free_fibers);
    f->link.set(p->free_fibers.get());
    p->free_fibers.set(f);
    p->free_count.add(1);
    arch::hand_on(&p->free_fibers);
    if (p->free_count.get() <= kept_at_processor) return;
    for (unsigned i = 1; i < batch; ++i) last = last->link.get();
    p->free_fibers.set(last->link.get());
    p->free_count.add(-batch);
  }
  size_class& sized = classes_[std::countr_zero(f->stack_size)];
  const std::scoped_lock hold(sized.lock);
  last->link.set(sized.free);
  sized.free = f;
}

}  // namespace gofer::sched
