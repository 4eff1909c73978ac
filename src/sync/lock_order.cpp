#include "sync/lock_order.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <gofer/detail/sched/thread_index.hpp>
#include <gofer/detail/sync/lock_watch.hpp>
#include <gofer/go.hpp>

namespace gofer::inline v0::sync {

constinit lock_order_hooks lock_order_above;

namespace {

bool watch_by_default() noexcept {
  if (const char* text = std::getenv("GOFER_LOCK_ORDER"); text != nullptr && *text != '\0') return *text != '0';
#if defined(GOFER_WATCH_LOCK_ORDER)
  return true;
#else
  return false;
#endif
}

/// Fibers and threads by one number.
std::uint64_t caller() noexcept {
  const std::uint64_t fiber = this_fiber::id();
  return fiber != 0 ? fiber * 2 : std::uint64_t{sched::thread_index()} * 2 + 1;
}

captured_stack capture() noexcept {
  auto* above = lock_order_above.capture.load(std::memory_order_acquire);
  return above == nullptr ? captured_stack{} : above();
}

/// Which locks are taken while which others are held: an edge for each pair, with how it came to be. A cycle means that
/// some order of events is a deadlock, whether it has happened or not (as Linux's lockdep, 2006).
class lock_graph {
 public:
  static lock_graph& get() {
    static auto& graph = *new lock_graph;  // locks are taken until the very end
    return graph;
  }

  void intend(const void* lock) {
    const std::uint64_t me = caller();
    lock_inversion_side now;
    lock_inversion_side before;
    bool inverted = false;
    {
      std::unique_lock hold(lock_);
      const auto mine = held_.find(me);
      if (mine == held_.end()) return;
      for (const held& h : mine->second) {
        if (h.lock == lock) {
          const lock_holder holder = h.who;
          hold.unlock();
          if (auto* relock = lock_order_above.relock.load(std::memory_order_acquire)) relock(holder, lock);
          return;
        }
        auto& edges = after_[h.lock];
        if (edges.contains(lock)) continue;
        lock_inversion_side side{.who = self(), .first = h.lock, .second = lock, .first_where = h.who.where};
        if (!inverted) {
          if (const lock_inversion_side* other = step_back(lock, h.lock)) {
            inverted = true;
            now = side;
            before = *other;
          }
        }
        edges.emplace(lock, std::move(side));
      }
    }
    if (!inverted) return;
    if (auto* report = lock_order_above.inversion.load(std::memory_order_acquire)) report(now, before);
  }

  void locked(const void* lock) {
    held h{.lock = lock, .who = self()};
    const std::uint64_t me = caller();
    const std::scoped_lock hold(lock_);
    held_[me].push_back(std::move(h));
  }

  void unlocked(const void* lock) noexcept {
    const std::uint64_t me = caller();
    const std::scoped_lock hold(lock_);
    if (const auto mine = held_.find(me); mine != held_.end() && forget(mine->second, lock)) {
      if (mine->second.empty()) held_.erase(mine);
      return;
    }
    for (auto at = held_.begin(); at != held_.end(); ++at) {  // another fiber unlocks than the one that locked
      if (!forget(at->second, lock)) continue;
      if (at->second.empty()) held_.erase(at);
      return;
    }
  }

  void destroyed(const void* lock) noexcept {
    const std::scoped_lock hold(lock_);
    after_.erase(lock);
    for (auto& [first, edges] : after_) edges.erase(lock);
  }

  lock_holder holder(const void* lock) {
    const std::scoped_lock hold(lock_);
    for (const auto& [who, locks] : held_) {
      for (const held& h : locks) {
        if (h.lock == lock) return h.who;
      }
    }
    return {};
  }

 private:
  struct held {
    const void* lock = nullptr;
    lock_holder who{};
  };

  static lock_holder self() {
    return {.known = true, .fiber = this_fiber::id(), .name = std::string(this_fiber::name()), .where = capture()};
  }

  static bool forget(std::vector<held>& locks, const void* lock) noexcept {
    const auto last = std::find_if(locks.rbegin(), locks.rend(), [&](const held& h) { return h.lock == lock; });
    if (last == locks.rend()) return false;
    locks.erase(std::next(last).base());
    return true;
  }

  /// If `to` can be reached from `from`: the first step on the way. Null if it cannot.
  const lock_inversion_side* step_back(const void* from, const void* to) {
    const auto edges = after_.find(from);
    if (edges == after_.end()) return nullptr;
    for (const auto& [next, side] : edges->second) {
      std::unordered_set<const void*> seen{from};
      if (next == to || reaches(next, to, seen)) return &side;
    }
    return nullptr;
  }

  bool reaches(const void* from, const void* to, std::unordered_set<const void*>& seen) {
    std::vector<const void*> open{from};
    while (!open.empty()) {
      const void* at = open.back();
      open.pop_back();
      if (!seen.insert(at).second) continue;
      const auto edges = after_.find(at);
      if (edges == after_.end()) continue;
      if (edges->second.contains(to)) return true;
      for (const auto& [next, side] : edges->second) open.push_back(next);
    }
    return false;
  }

  std::mutex lock_;  // guards all
  std::unordered_map<std::uint64_t, std::vector<held>> held_;
  std::unordered_map<const void*, std::unordered_map<const void*, lock_inversion_side>> after_;
};

}  // namespace

const bool lock_order_watched = [] {
  const bool watched = watch_by_default();
  if (watched) sched::observers.fetch_or(sched::lock_order_watcher, std::memory_order_relaxed);
  return watched;
}();

void note_intent(const char* operation, const void* lock) {
  sched::reach(operation, lock);
  if (lock_order_watched) lock_graph::get().intend(lock);
}
void note_locked(const void* lock) {
  if (lock_order_watched) lock_graph::get().locked(lock);
}
void note_unlocked(const char* operation, const void* lock) noexcept {
  sched::reach(operation, lock);
  if (lock_order_watched) lock_graph::get().unlocked(lock);
}
void note_destroyed(const void* lock) noexcept {
  if (lock_order_watched) lock_graph::get().destroyed(lock);
}

lock_holder holder_of(const void* lock) { return lock_order_watched ? lock_graph::get().holder(lock) : lock_holder{}; }

}  // namespace gofer::inline v0::sync
