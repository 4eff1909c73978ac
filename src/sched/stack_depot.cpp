#include "sched/stack_depot.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <new>
#include <span>
#include <utility>

#include "arch/stack.hpp"
#include "sched/processor.hpp"

#if defined(GOFER_ASAN)
#include <sanitizer/lsan_interface.h>
#endif

namespace gofer::inline v0::sched {
namespace {

/// What lies at the same offset of many pages shares a few sets of the caches; these offsets spread the first frames
/// of stacks, within the one page that a parked fiber may hold.
constexpr std::size_t colors = 16;

GOFER_SWITCH_CODE fiber_stack* make_stack(std::byte* low, std::size_t size) noexcept {
  constexpr std::size_t block = (sizeof(fiber_stack) + arch::cache_line - 1) / arch::cache_line * arch::cache_line;
  const std::size_t color = reinterpret_cast<std::uintptr_t>(low) / size % colors;
  auto* stack = new (low + size - block - color * arch::cache_line) fiber_stack;
  stack->low.set(low);
  stack->size.set(size);
  stack->sanitized.adopt_stack(low, size);
  arch::hand_on(stack);  // to whoever has it when its fiber has finished
  return stack;
}

}  // namespace

unsigned stack_depot::class_of(std::size_t size) noexcept {
  constexpr std::size_t least = std::size_t{16} * 1024;
  constexpr std::size_t most = std::size_t{1} << 47;  // more than there can be
  return static_cast<unsigned>(std::bit_width(std::bit_ceil(std::clamp(size, least, most))) - 1);
}

bool stack_depot::keeps(const processor* p, unsigned stack_class) const noexcept {
  return p != nullptr && !p->surplus && stack_class == default_class_;
}

void stack_depot::promise(unsigned stack_class, processor* p) {
  if (p == nullptr || stack_class != default_class_) return promise(stack_class, 1);
  if (p->promised_stacks.get() == 0) {
    promise(stack_class, promised_at_once);
    p->promised_stacks.set(promised_at_once);
  }
  p->promised_stacks.add(-1U);
}

void stack_depot::promise(unsigned stack_class, std::size_t count) {
  size_class& sized = classes_[stack_class];
  const std::size_t wanted = sized.promised.fetch_add(count, std::memory_order_relaxed) + count;
  // Those that processors keep are out of the others' reach.
  const std::size_t kept = stack_class == default_class_ ? std::size_t{processors_} * kept_at_processor : 0;
  if (wanted + kept <= sized.made.load(std::memory_order_acquire)) return;
  try {
    grow(sized, stack_class, wanted + kept);
  } catch (...) {
    sized.promised.fetch_sub(count, std::memory_order_relaxed);
    throw;
  }
}

void stack_depot::release(unsigned stack_class, processor* p) noexcept {
  std::size_t count = 1;
  if (p != nullptr && stack_class == default_class_) {
    p->promised_stacks.add(1);
    if (p->promised_stacks.get() <= 2 * promised_at_once) return;
    count = promised_at_once;
    p->promised_stacks.add(-promised_at_once);
  }
  classes_[stack_class].promised.fetch_sub(count, std::memory_order_relaxed);
}

void stack_depot::grow(size_class& sized, unsigned stack_class, std::size_t wanted) {
  const std::size_t size = std::size_t{1} << stack_class;
  constexpr std::size_t slab_bytes = std::size_t{16} * 1024 * 1024;
  const std::size_t count = std::max<std::size_t>(1, slab_bytes / size);
  const std::scoped_lock one_at_a_time(sized.growing);
  while (sized.made.load(std::memory_order_relaxed) < wanted) {
    auto made = stock<std::byte>::make_slab(count);
    std::byte* base = arch::reserve_stacks(size, count);
    for (std::size_t i = count; i-- > 0;) made.front().push_back(base + i * size);
#if defined(GOFER_ASAN)
    // What only an abandoned fiber points to is not a leak. The guards are left out: they cannot be read.
    for (std::size_t i = 0; i < count; ++i) {
      __lsan_register_root_region(base + i * size + arch::page_size(), size - arch::page_size());
    }
#endif
    const std::scoped_lock hold(sized.lock);
    sized.cold.add(std::move(made));
    sized.made.store(sized.made.load(std::memory_order_relaxed) + count, std::memory_order_release);
  }
}

fiber_stack* stack_depot::take(unsigned stack_class, processor* p) noexcept {
  const bool kept = keeps(p, stack_class);
  if (kept) {
    arch::take_up(&p->free_stacks);
    if (fiber_stack* stack = p->free_stacks.pop()) return stack;
  }
  size_class& sized = classes_[stack_class];
  for (arch::backoff wait;; wait()) {  // a promised stack may be just being cooled
    std::unique_lock hold(sized.lock);
    if (fiber_stack* stack = sized.warm.pop()) {
      if (kept) {
        sized.warm.move(batch - 1, p->free_stacks);  // only warm ones: a cold one costs memory as soon as it is made
        arch::hand_on(&p->free_stacks);
      }
      sized.fewest_warm = std::min(sized.fewest_warm, sized.warm.size());
      return stack;
    }
    if (sized.cold.empty()) continue;
    std::byte* low = sized.cold.pop();
    hold.unlock();  // the first touch of a stack is a fault, for which others would have to wait
    return make_stack(low, std::size_t{1} << stack_class);
  }
}

void stack_depot::put(fiber_stack* stack, processor* p) noexcept {
  const auto stack_class = static_cast<unsigned>(std::countr_zero(stack->size.get()));
  size_class& sized = classes_[stack_class];
  if (keeps(p, stack_class)) {
    arch::take_up(&p->free_stacks);
    p->free_stacks.push(stack);
    arch::hand_on(&p->free_stacks);
    if (p->free_stacks.size() <= kept_at_processor) return;
    const std::scoped_lock hold(sized.lock);
    p->free_stacks.move(batch, sized.warm);
    return;
  }
  const std::scoped_lock hold(sized.lock);
  sized.warm.push(stack);
}

void stack_depot::flush(processor& p) noexcept {
  if (p.free_stacks.size() == 0) return;
  size_class& sized = classes_[default_class_];
  arch::take_up(&p.free_stacks);
  const std::scoped_lock hold(sized.lock);
  p.free_stacks.move(p.free_stacks.size(), sized.warm);
  arch::hand_on(&p.free_stacks);
}

bool stack_depot::trim() noexcept {
  if constexpr (arch::contexts_are_kept) return false;
  bool more = false;
  for (size_class& sized : classes_) {
    if (sized.made.load(std::memory_order_acquire) == 0) continue;
    while (cool_some(sized)) {
    }
    const std::scoped_lock hold(sized.lock);
    sized.fewest_warm = sized.warm.size();
    more = more || sized.warm.size() != 0;
  }
  return more;
}

/// Returns false if there was nothing to do.
bool stack_depot::cool_some(size_class& sized) noexcept {
  constexpr unsigned at_once = 64;
  free_list<fiber_stack> unneeded;
  {
    const std::scoped_lock hold(sized.lock);
    const unsigned count = std::min(sized.fewest_warm, at_once);
    sized.warm.move(count, unneeded);
    sized.fewest_warm -= count;
  }
  if (unneeded.size() == 0) return false;
  std::array<std::byte*, at_once> cooled{};
  std::size_t count = 0;
  std::size_t size = 0;
  while (fiber_stack* stack = unneeded.pop()) {
    cooled[count++] = stack->low.get();
    size = stack->size.get();
    stack->sanitized.abandon();
  }
  arch::give_back(std::span(cooled.data(), count), size);
  const std::scoped_lock hold(sized.lock);
  for (std::size_t i = 0; i < count; ++i) sized.cold.push(cooled[i]);
  return true;
}

}  // namespace gofer::inline v0::sched
