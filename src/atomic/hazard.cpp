#include <gofer/detail/atomic/hazard.hpp>

#include <algorithm>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include <gofer/detail/arch/spin_lock.hpp>
#include <gofer/detail/sched/per_thread.hpp>

#include "sched/thread.hpp"

namespace gofer::inline v0::hazard {
namespace {

/// Old versions are looked through when this many have come since the last time, or as many as there are spare slots,
/// or as had to stay: so each costs a share of a scan, and at most about as many old versions stay as there are
/// readers.
constexpr std::size_t least_batch = 64;

struct domain {
  sched::per_thread<slot_line> lines;
  std::atomic<spare_slot*> made{nullptr};
  std::atomic<std::size_t> spare_count{0};

  arch::spin_lock lock;
  retired* waiting = nullptr;     // guarded by lock
  std::size_t waiting_count = 0;  // guarded by lock
  std::size_t looked_at = 0;      // of these: had to stay when they were looked through; guarded by lock
};

/// Never destroyed: snapshots may outlive every static object.
union everlasting {
  constexpr everlasting() : it() {}
  ~everlasting() {}
  domain it;
};
constinit everlasting all;

/// What the slots protect, sorted later. False: there is no memory to hold it.
bool read_announcements(const domain& d, std::vector<const void*>& announced) noexcept {
  const auto read = [&](const slot& s) {
    if constexpr (sched::explores_atomics) {  // points at slots that are in use: there are many others
      if (s.load(std::memory_order_relaxed) != nullptr) sched::point("hazard::collect", &s);
    }
    if (const void* p = s.load(std::memory_order_acquire)) announced.push_back(p);
  };
  try {
    d.lines.for_each([&](const slot_line& line) { std::ranges::for_each(line.slots, read); });
    for (spare_slot* s = d.made.load(std::memory_order_acquire); s != nullptr; s = s->next_made) read(s->protects);
    return true;
  } catch (...) {
    return false;
  }
}

[[gnu::noinline]] slot* acquire_spare(slot_line& mine) {
  if (spare_slot* s = mine.spare.load(std::memory_order_relaxed)) {
    arch::take_up(&mine.spare);
    mine.spare.store(s->next_free, std::memory_order_relaxed);
    return &s->protects;
  }
  auto* s = new spare_slot;
  domain& d = all.it;
  s->next_made = d.made.load(std::memory_order_relaxed);
  while (!d.made.compare_exchange_weak(s->next_made, s, std::memory_order_release, std::memory_order_relaxed)) {
  }
  d.spare_count.fetch_add(1, std::memory_order_relaxed);
  return &s->protects;
}

}  // namespace

[[gnu::noinline]] slot* acquire() {
  slot_line* const known = all.it.lines.find(sched::index_here.load(std::memory_order_relaxed));
  slot_line& mine = known != nullptr ? *known : all.it.lines.own();
  for (slot& s : mine.slots) {
    if (s.load(std::memory_order_acquire) != nullptr) continue;
    s.store(&s, std::memory_order_release);  // hands on what was done until it was given up
    return &s;
  }
  return acquire_spare(mine);
}

void release_spare(slot* s) noexcept {
  if constexpr (sched::explores_atomics) sched::point("hazard::release", s);
  s->store(nullptr, std::memory_order_release);  // as in release
  auto* const spare = reinterpret_cast<spare_slot*>(s);
  slot_line* mine = nullptr;
  try {
    mine = &all.it.lines.own();
  } catch (const std::bad_alloc&) {  // for this thread's first: nobody finds the slot any more
    return;
  }
  spare->next_free = mine->spare.load(std::memory_order_relaxed);
  arch::hand_on(&mine->spare);
  mine->spare.store(spare, std::memory_order_relaxed);
}

void retire(retired* object) noexcept {
  domain& d = all.it;
  bool due = false;
  {
    const std::scoped_lock hold(d.lock);
    object->next_retired = d.waiting;
    d.waiting = object;
    const std::size_t fresh = ++d.waiting_count - d.looked_at;
    due = fresh >= std::max({least_batch, d.spare_count.load(std::memory_order_relaxed), d.looked_at});
  }
  if (due) collect();
}

void collect() noexcept {
  domain& d = all.it;
  retired* batch = nullptr;
  {
    const std::scoped_lock hold(d.lock);
    batch = std::exchange(d.waiting, nullptr);
    d.waiting_count = d.looked_at = 0;
  }
  if (batch == nullptr) return;
  arch::heavy_fence();  // pairs with the light fence in protect: who has not announced by now sees the newer pointer
  std::vector<const void*> announced;
  const bool known = read_announcements(d, announced);
  std::ranges::sort(announced);
  // The copies after the slots: who made one, and gave its slot up before that was read, has been counted by now.
  const auto looked_at = [&](const retired& r) {
    return !known || std::ranges::binary_search(announced, static_cast<const void*>(&r)) ||
           r.copies.load(std::memory_order_acquire) != 0;
  };
  retired* stay = nullptr;
  retired* last = nullptr;
  std::size_t count = 0;
  while (batch != nullptr) {
    retired* r = std::exchange(batch, batch->next_retired);
    if (!looked_at(*r)) {
      r->destroy(r);
      continue;
    }
    if (stay == nullptr) last = r;
    r->next_retired = std::exchange(stay, r);
    ++count;
  }
  if (stay == nullptr) return;
  const std::scoped_lock hold(d.lock);
  last->next_retired = std::exchange(d.waiting, stay);
  d.waiting_count += count;
  d.looked_at += count;
}

}  // namespace gofer::inline v0::hazard
