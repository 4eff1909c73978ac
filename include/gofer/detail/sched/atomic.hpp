#pragma once

#include <atomic>

#include <gofer/detail/arch/cpu.hpp>
#include <gofer/detail/arch/spin_lock.hpp>
#include <gofer/detail/sched/point.hpp>

/// What the algorithms of this library are made of. In a build with GOFER_EXPLORE_ATOMICS every operation on one is a
/// point at which an exploration may go on with another fiber, so that the insides of the primitives are explored and
/// not only their callers; all of a program has to be built with it. Not for what the scheduler itself is made of.
namespace gofer::inline v0::sched {

/// A std::atomic whose operations are points.
template <class T>
class explored_atomic {
 public:
  using value_type = T;

  constexpr explored_atomic() noexcept = default;
  constexpr explored_atomic(T initial) noexcept : value_(initial) {}  // NOLINT: as std::atomic
  explored_atomic(const explored_atomic&) = delete;
  explored_atomic& operator=(const explored_atomic&) = delete;

  T load(std::memory_order order = std::memory_order_seq_cst) const noexcept {
    point("atomic::load", this);
    return value_.load(order);
  }
  void store(T v, std::memory_order order = std::memory_order_seq_cst) noexcept {
    point("atomic::store", this);
    value_.store(v, order);
  }
  T exchange(T v, std::memory_order order = std::memory_order_seq_cst) noexcept {
    point("atomic::exchange", this);
    return value_.exchange(v, order);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order order = std::memory_order_seq_cst) noexcept {
    point("atomic::compare_exchange", this);
    return value_.compare_exchange_strong(expected, desired, order);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order success, std::memory_order failure) noexcept {
    point("atomic::compare_exchange", this);
    return value_.compare_exchange_strong(expected, desired, success, failure);
  }
  // Never fails without a reason here: a schedule has to be the same each time.
  bool compare_exchange_weak(T& expected, T desired, std::memory_order order = std::memory_order_seq_cst) noexcept {
    return compare_exchange_strong(expected, desired, order);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success, std::memory_order failure) noexcept {
    return compare_exchange_strong(expected, desired, success, failure);
  }
  T fetch_add(T n, std::memory_order order = std::memory_order_seq_cst) noexcept {
    point("atomic::fetch_add", this);
    return value_.fetch_add(n, order);
  }
  T fetch_sub(T n, std::memory_order order = std::memory_order_seq_cst) noexcept {
    point("atomic::fetch_sub", this);
    return value_.fetch_sub(n, order);
  }
  T fetch_or(T bits, std::memory_order order = std::memory_order_seq_cst) noexcept {
    point("atomic::fetch_or", this);
    return value_.fetch_or(bits, order);
  }
  T fetch_and(T bits, std::memory_order order = std::memory_order_seq_cst) noexcept {
    point("atomic::fetch_and", this);
    return value_.fetch_and(bits, order);
  }
  operator T() const noexcept { return load(); }  // NOLINT: as std::atomic
  T operator=(T v) noexcept {
    store(v);
    return v;
  }

 private:
  std::atomic<T> value_{};
};

/// In an exploration lets others run, as yield does, and returns true.
bool gives_way() noexcept;

/// In a spin loop: arch::backoff, but in an exploration, where nothing changes meanwhile, others run.
class explored_backoff {
 public:
  explicit explored_backoff(unsigned first = 1) noexcept : wait_(first) {}
  void operator()() noexcept {
    if (!gives_way()) wait_();
  }

 private:
  arch::backoff wait_;
};

#if defined(GOFER_EXPLORE_ATOMICS)
inline constexpr bool explores_atomics = true;
template <class T>
using atomic = explored_atomic<T>;
using backoff = explored_backoff;
#else
inline constexpr bool explores_atomics = false;
template <class T>
using atomic = std::atomic<T>;
using backoff = arch::backoff;
#endif

using spin_lock = arch::basic_spin_lock<atomic<bool>, backoff>;

}  // namespace gofer::inline v0::sched
