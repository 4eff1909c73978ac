#pragma once

#include <string_view>
#include <type_traits>
#include <utility>

#include <gofer/detail/sched/start_fiber.hpp>

namespace gofer::inline v0::sched {

/// Starts a fiber that calls `f()`, which must not throw, until that returns false. True: the fiber rests, as `f` has
/// arranged it right before (waiter::rest), and calls `f` anew when it is woken. So what is kept from one call to the
/// next is in `f` and not on a stack, and a fiber that does nothing but wait for most of its life costs as much as its
/// control block. One that is woken next to others like it runs on a stack that the one before has left warm.
template <class F>
[[gnu::always_inline]] inline void start_resting(std::string_view name, F&& f) {
  using closure = std::decay_t<F>;
  static_assert(fits_in_block<closure> && std::is_nothrow_invocable_r_v<bool, closure&>);
  start_fiber(draft_fiber(0, name, std::forward<F>(f)), [](void* at) {
    auto* own = static_cast<closure*>(at);
    const bool rests = (*own)();
    if (!rests) own->~closure();
    return rests;
  });
}

}  // namespace gofer::inline v0::sched
