#pragma once

#include <atomic>

namespace gofer::inline v0::sched {

/// A field that one party at a time touches: what belongs to an OS thread or a processor, used by the scheduler on the
/// stacks of all the fibers that run there. Costs what a plain field costs. It is an atomic because others may peek
/// (statistics, the monitor), and because ThreadSanitizer takes each fiber for a thread.
template <class T>
class owned {
 public:
  constexpr owned() noexcept = default;
  constexpr explicit owned(T value) noexcept : value_(value) {}

  T get() const noexcept { return value_.load(std::memory_order_relaxed); }
  void set(T value) noexcept { value_.store(value, std::memory_order_relaxed); }
  T take() noexcept {
    const T value = get();
    set(T{});
    return value;
  }
  void add(T n) noexcept { set(get() + n); }

 private:
  std::atomic<T> value_{};
};

}  // namespace gofer::inline v0::sched
