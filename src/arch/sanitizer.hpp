#pragma once

// What the sanitizers must be told of stacks and switches. Empty in ordinary builds.

#include <cstddef>

#include <gofer/detail/arch/cpu.hpp>

#if defined(__SANITIZE_ADDRESS__)
#define GOFER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GOFER_ASAN 1
#endif
#endif

#if defined(GOFER_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#if defined(GOFER_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
#endif
#if defined(GOFER_ASAN) || defined(GOFER_TSAN)
#undef GOFER_VALGRIND
#elif defined(GOFER_VALGRIND)
#include <valgrind/valgrind.h>  // its requests are a few instructions that do nothing outside of valgrind
#endif

/// For the few functions that hand the scheduler's plain fields from one side of a switch to the other: TSan is told
/// that a switch orders nothing, so it cannot know that these are in order. Nor is it told of their calls: it notes
/// each for the side that is entered, and the return for the side that is left.
#if defined(GOFER_TSAN) && defined(__clang__)
#define GOFER_SWITCH_CODE __attribute__((disable_sanitizer_instrumentation))
#elif defined(GOFER_TSAN)
#define GOFER_SWITCH_CODE __attribute__((no_sanitize("thread")))
#else
#define GOFER_SWITCH_CODE
#endif

namespace gofer::inline v0::arch {

/// ThreadSanitizer holds only some thousands of contexts and is slow to make one, so each stays with its stack for
/// ever.
#if defined(GOFER_TSAN)
inline constexpr bool contexts_are_kept = true;
inline constexpr bool signals_come_late = true;  // when the thread calls the system next
#else
inline constexpr bool contexts_are_kept = false;
inline constexpr bool signals_come_late = false;
#endif

/// What the memory points to is in use: for LeakSanitizer, which does not look at the stacks of fibers.
inline void points_to_what_is_used([[maybe_unused]] const void* low, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(GOFER_ASAN)
  __lsan_register_root_region(low, bytes);
#endif
}

/// One side of a switch, as the sanitizers see it: a fiber's stack or a thread's own.
struct sanitized_stack {
#if defined(GOFER_ASAN)
  const void* bottom = nullptr;
  std::size_t size = 0;
  void* fake_stack = nullptr;
#endif
#if defined(GOFER_TSAN)
  void* fiber = nullptr;
#endif
#if defined(GOFER_VALGRIND)
  unsigned valgrind_id = 0;
#endif

  /// For a thread's own stack; called on it. ASan learns its bounds at the first switch away.
  void adopt_thread() noexcept {
#if defined(GOFER_TSAN)
    fiber = __tsan_get_current_fiber();
#endif
  }

  /// For a fiber's stack.
  void adopt_stack([[maybe_unused]] std::byte* low, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(GOFER_ASAN)
    bottom = low;
    size = bytes;
#endif
#if defined(GOFER_TSAN)
    if (fiber == nullptr) fiber = __tsan_create_fiber(0);
#endif
#if defined(GOFER_VALGRIND)
    valgrind_id = VALGRIND_STACK_REGISTER(low, low + bytes - 1);
#endif
  }

  /// The stack is forgotten, and so is all that was on it.
  void abandon() noexcept {
#if defined(GOFER_VALGRIND)
    VALGRIND_STACK_DEREGISTER(valgrind_id);
#endif
  }
};

/// While it lives, ThreadSanitizer takes no notice of what this thread reads: the stack of a fiber that is held still.
class unchecked_reads {
 public:
#if defined(GOFER_TSAN)
  unchecked_reads() noexcept { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~unchecked_reads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
#else
  unchecked_reads() noexcept {}
  ~unchecked_reads() {}
#endif
  unchecked_reads(const unchecked_reads&) = delete;
  unchecked_reads& operator=(const unchecked_reads&) = delete;
};

/// Just before the switch from `from` to `to`. `for_good`: nobody returns to `from`'s frames.
GOFER_SWITCH_CODE inline void before_switch([[maybe_unused]] sanitized_stack& from,
                                            [[maybe_unused]] sanitized_stack& to,
                                            [[maybe_unused]] bool for_good) noexcept {
#if defined(GOFER_ASAN)
  __sanitizer_start_switch_fiber(for_good ? nullptr : &from.fake_stack, to.bottom, to.size);
#endif
#if defined(GOFER_TSAN)
  // no_sync: a switch orders nothing between two fibers, so that their races are seen.
  __tsan_switch_to_fiber(to.fiber, __tsan_switch_to_fiber_no_sync);
#endif
}

/// Just after the switch, on the stack `here`; `left` is where the switch came from.
inline void after_switch([[maybe_unused]] sanitized_stack& here, [[maybe_unused]] sanitized_stack* left) noexcept {
#if defined(GOFER_ASAN)
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(here.fake_stack, &bottom, &size);
  if (left != nullptr && left->bottom == nullptr) {
    left->bottom = bottom;
    left->size = size;
  }
#endif
}

/// A stack is about to be used afresh: what the frames of its last user left poisoned is clean again.
inline void fresh_stack([[maybe_unused]] sanitized_stack& stack, [[maybe_unused]] std::byte* low,
                        [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(GOFER_ASAN)
  stack.fake_stack = nullptr;
  __asan_unpoison_memory_region(low, bytes);
#endif
}

}  // namespace gofer::inline v0::arch
