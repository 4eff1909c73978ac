#include <gofer/detail/atomic/hazard.hpp>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include <gofer/detail/arch/spin_lock.hpp>
#include <gofer/detail/sched/per_thread.hpp>

namespace gofer::inline v0::hazard {
namespace {

/// Old versions are looked through when this many have come since the last time, or as many as there are slots, or as
/// had to stay: so each costs a share of a scan, and at most about as many old versions stay as there are readers.
constexpr std::size_t least_batch = 64;

/// Free slots of one thread. Its fibers use it without waiting in between, so nobody else is ever in it.
struct alignas(arch::cache_line) slot_cache {
  std::atomic<slot*> first{nullptr};
};

struct domain {
  sched::per_thread<slot_cache> caches;
  std::atomic<slot*> made{nullptr};
  std::atomic<std::size_t> slot_count{0};

  arch::spin_lock lock;
  retired* waiting = nullptr;     // guarded by lock
  std::size_t waiting_count = 0;  // guarded by lock
  std::size_t looked_at = 0;      // of these: had to stay when they were looked through; guarded by lock
};

domain& all() {
  static auto& instance = *new domain;  // snapshots may outlive every static object
  return instance;
}

/// What the slots protect, sorted later. False: there is no memory to hold it.
bool read_announcements(const domain& d, std::vector<const void*>& announced) noexcept {
  try {
    for (slot* s = d.made.load(std::memory_order_acquire); s != nullptr; s = s->next_made) {
      if (const void* p = s->protects.load(std::memory_order_acquire)) announced.push_back(p);
    }
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

slot* acquire() {
  domain& d = all();
  std::atomic<slot*>& mine = d.caches.own().first;
  if (slot* s = mine.load(std::memory_order_relaxed)) {
    arch::take_up(&mine);
    mine.store(s->next_free, std::memory_order_relaxed);
    return s;
  }
  auto* s = new slot;
  s->next_made = d.made.load(std::memory_order_relaxed);
  while (!d.made.compare_exchange_weak(s->next_made, s, std::memory_order_release, std::memory_order_relaxed)) {
  }
  d.slot_count.fetch_add(1, std::memory_order_relaxed);
  return s;
}

void release(slot* s) noexcept {
  s->protects.store(nullptr, std::memory_order_release);  // what was read through it happens before the object is freed
  std::atomic<slot*>& mine = all().caches.own().first;
  s->next_free = mine.load(std::memory_order_relaxed);
  arch::hand_on(&mine);
  mine.store(s, std::memory_order_relaxed);
}

void retire(retired* object) noexcept {
  domain& d = all();
  bool due = false;
  {
    const std::scoped_lock hold(d.lock);
    object->next_retired = d.waiting;
    d.waiting = object;
    const std::size_t fresh = ++d.waiting_count - d.looked_at;
    due = fresh >= std::max({least_batch, d.slot_count.load(std::memory_order_relaxed), d.looked_at});
  }
  if (due) collect();
}

void collect() noexcept {
  domain& d = all();
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
