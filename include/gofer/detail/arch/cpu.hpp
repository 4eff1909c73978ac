#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#if defined(__SANITIZE_THREAD__)
#define GOFER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GOFER_TSAN 1
#endif
#endif

#if defined(GOFER_TSAN)
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#endif

namespace gofer::inline v0::arch {

/// Tell ThreadSanitizer that all before a `hand_on(p)` is in order for what follows a `take_up(p)`. For what the
/// program order of an OS thread already orders for the CPU: TSan takes each fiber for a thread of its own, and is told
/// on purpose that a switch between them orders nothing. Empty in ordinary builds. What is handed on lies at the
/// address beside `p`: an atomic may lie at `p`, at whose next store that releases TSan would forget all that came
/// before it.
inline void hand_on([[maybe_unused]] const void* p) noexcept {
#if defined(GOFER_TSAN)
  __tsan_release(const_cast<char*>(static_cast<const char*>(p) + 1));
#endif
}
inline void take_up([[maybe_unused]] const void* p) noexcept {
#if defined(GOFER_TSAN)
  __tsan_acquire(const_cast<char*>(static_cast<const char*>(p) + 1));
#endif
}

/// What two threads must not share when one of them writes. x86-64 prefetches in pairs of lines, but padding to
/// 128 bytes doubles memory for a gain that was not measured here.
inline constexpr std::size_t cache_line = 64;

/// Tells the core that this is a spin loop.
inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");  // yield is a no-op on most cores; isb really waits a little
#endif
}

/// Begins to fetch a cache line that is soon to be written; the address may be any.
inline void prefetch_to_write(const void* p) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetchw (%0)" : : "r"(p));  // the builtin would only ask for a copy
#else
  __builtin_prefetch(p, 1);
#endif
}

/// A clock that costs a few nanoseconds to read and ticks in a unit of its own, which differs from machine to machine.
/// Not to be relied on for more than a guess: threads may see it jump.
inline std::uint64_t cycles() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  std::uint64_t ticks = 0;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#endif
}

/// A full fence: no load or store crosses it. ThreadSanitizer knows no fences, so under it an operation on a
/// variable of our own stack does the same for the hardware without inventing an order between fibers.
inline void full_fence() noexcept {
#if defined(GOFER_TSAN)
  std::atomic<int> here{0};
  here.fetch_add(1, std::memory_order_seq_cst);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}

/// Gives the OS thread's time to another; for spin loops whose partner may have lost its core.
void yield_thread() noexcept;

/// Waits twice as long at every call: `first` pauses, which take 10 to 50 ns each, and so on to `most`; then the OS
/// scheduler is asked to run somebody else.
class backoff {
 public:
  static constexpr unsigned most = 512;

  explicit backoff(unsigned first = 1) noexcept : pauses_(first) {}
  void operator()() noexcept {
    if (pauses_ > most) return yield_thread();
    for (unsigned i = 0; i < pauses_; ++i) pause();
    pauses_ *= 2;
  }

 private:
  unsigned pauses_;
};

}  // namespace gofer::inline v0::arch
