#pragma once

#include <chrono>
#include <new>

#include <gofer/detail/sched/time.hpp>
#include <gofer/go.hpp>

namespace gofer::inline v0::sched {

/// Who can neither do without memory nor tell anybody tries again after so long: somebody may give some back.
inline constexpr std::chrono::milliseconds until_memory{1};

/// Calls `f()` until there is memory for it, and lets others run meanwhile. For fibers and threads that may wait.
template <class F>
decltype(auto) insist(F f) {
  for (;;) {
    try {
      return f();
    } catch (const std::bad_alloc&) {
    }
    sleep_for(until_memory);
  }
}

}  // namespace gofer::inline v0::sched
