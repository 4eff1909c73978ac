#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include <gofer/detail/arch/asymmetric_fence.hpp>
#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/sched/atomic.hpp>
#include <gofer/detail/sched/per_thread.hpp>
#include <gofer/detail/sched/point.hpp>

namespace gofer::inline v0 {

/// A counter for many writers and few readers: every thread counts in a cell of its own with a plain load and store,
/// and `load` adds the cells up. For a value that is compared or exact at every moment use atomic_counter.
///
/// `load` sees every change that happens before it, and those that run beside it or not. An exchange takes changes into
/// its result or leaves them for the next; none is lost or counted twice. Overflow wraps around.
class sharded_counter {
 public:
  sharded_counter() = default;

  /// A plain load and store of the thread's own cell. So cheap that explorations can switch here only where they
  /// explore the insides of the primitives: to be seen by nobody costs a third of it.
  void add(std::int64_t n = 1) {
    if constexpr (sched::explores_atomics) sched::point("sharded_counter::add", this);
    std::atomic<std::uint64_t>& mine = cells_.own().value;
    mine.store(mine.load(std::memory_order_relaxed) + static_cast<std::uint64_t>(n), std::memory_order_release);
  }
  void increment() { add(1); }
  void decrement() { add(-1); }

  /// The sum of all cells: everything added before the call, and some of what is added meanwhile.
  std::int64_t load() const {
    sched::point("sharded_counter::load", this);
    const std::uint64_t base = base_.load(std::memory_order_acquire);
    const std::uint64_t total = sum();
    if (base_.load(std::memory_order_acquire) == base) [[likely]]
      return static_cast<std::int64_t>(total - base);
    const std::scoped_lock hold(exchanging_);  // an exchange came between, and belongs to neither
    return static_cast<std::int64_t>(sum() - base_.load(std::memory_order_relaxed));
  }

  /// Makes the counter `value`; returns what it was.
  std::int64_t exchange(std::int64_t value) {
    sched::point("sharded_counter::exchange", this);
    const std::scoped_lock hold(exchanging_);
    const std::uint64_t now = sum();
    const std::uint64_t before = now - base_.load(std::memory_order_relaxed);
    base_.store(now - static_cast<std::uint64_t>(value), std::memory_order_release);
    return static_cast<std::int64_t>(before);
  }

 private:
  struct alignas(arch::cache_line) cell {
    std::atomic<std::uint64_t> value{0};  // written by its thread alone
  };

  std::uint64_t sum() const {
    std::uint64_t total = 0;
    cells_.for_each([&](const cell& c) { total += c.value.load(std::memory_order_acquire); });
    return total;
  }

  sched::per_thread<cell> cells_;
  std::atomic<std::uint64_t> base_{0};  // what the cells held in sum when the counter was last set to 0
  mutable arch::spin_lock exchanging_;
};

/// One T for each thread, for statistics of several fields: updates touch the thread's own T alone, reading folds over
/// all of them.
///
///     struct totals { std::int64_t requests = 0, errors = 0; };
///     gofer::sharded<totals> stats;
///     stats.local([&](totals& t) { ++t.requests; t.errors += failed; });
///     auto errors = stats.fold(std::int64_t{0}, [](std::int64_t sum, const totals& t) { return sum + t.errors; });
template <class T>
class sharded {
 public:
  sharded() = default;

  /// Calls `f(T&)` on this thread's T, alone with it: no other `local` or `fold` is in it meanwhile. `f` must not wait
  /// nor use this object. An exception leaves T as `f` left it. A few instructions, no shared write and no atomic
  /// read-modify-write, unless a `fold` is under way.
  template <class F>
  void local(F&& f) {
    sched::point("sharded::local", this);
    cell& mine = cells_.own();
    mine.enter();
    struct leave {
      cell& c;
      ~leave() { c.leave(); }
    } const at_end{mine};
    std::forward<F>(f)(mine.value);
  }

  /// Returns f(...f(f(init, t1), t2)..., tn) over a consistent copy of every thread's T: each update is in it as a
  /// whole or not at all, and if it is, so is every update that happens before it. All updates that happen before the
  /// call are in it. Costs microseconds, in which updates wait: the reader pays for both sides. Throws what copying a T
  /// throws.
  template <class A, class F>
  A fold(A init, F&& f) const {
    sched::point("sharded::fold", this);
    A result = std::move(init);
    for (const T& each : copies()) result = f(std::move(result), each);
    return result;
  }

 private:
  /// A T, and Dekker's protocol between its thread and a reader, in which the thread's side is plain loads and stores.
  struct alignas(arch::cache_line) cell {
    std::atomic<bool> busy{false};    // the thread is in `value`
    std::atomic<bool> wanted{false};  // a reader wants to be
    std::atomic<bool> used{false};
    T value{};

    void enter() noexcept {
      arch::take_up(this);  // first: giving way to a reader passes on what this thread's other fibers did here
      for (;;) {
        busy.store(true, std::memory_order_relaxed);
        arch::light_fence();  // pairs with the heavy fence in copies
        if (!wanted.load(std::memory_order_acquire)) [[likely]]
          break;
        busy.store(false, std::memory_order_release);
        for (arch::backoff wait; wanted.load(std::memory_order_relaxed);) wait();
      }
      if (!used.load(std::memory_order_relaxed)) used.store(true, std::memory_order_release);
    }
    void leave() noexcept {
      arch::hand_on(this);
      busy.store(false, std::memory_order_release);
    }
  };

  /// The Ts of all threads at one moment: all cells are held before the first is copied.
  std::vector<T> copies() const {
    const std::scoped_lock one_at_a_time(folding_);
    struct held_cells {
      std::vector<cell*> all;
      ~held_cells() {
        for (cell* c : all) c->wanted.store(false, std::memory_order_release);
      }
    } held;
    // Again until no more cells turn up: an update in a cell that was made meanwhile may have been followed by one in a
    // cell that was not held yet. With the last round all were held before it began, so neither is possible any more.
    for (std::size_t before = static_cast<std::size_t>(-1); before != held.all.size();) {
      before = held.all.size();
      cells_.for_each([&](cell& c) {
        if (c.wanted.load(std::memory_order_relaxed)) return;
        held.all.push_back(&c);
        c.wanted.store(true, std::memory_order_relaxed);
      });
      if (before != held.all.size()) arch::heavy_fence();  // pairs with the light fence in enter
    }
    std::vector<T> taken;
    taken.reserve(held.all.size());
    for (cell* c : held.all) {
      for (arch::backoff wait; c->busy.load(std::memory_order_acquire);) wait();
      arch::take_up(c);  // from every fiber of the cell's thread, not only from the one that left it last
      if (c->used.load(std::memory_order_acquire)) taken.push_back(c->value);
    }
    return taken;
  }

  sched::per_thread<cell> cells_;
  mutable std::mutex folding_;
};

}  // namespace gofer::inline v0
