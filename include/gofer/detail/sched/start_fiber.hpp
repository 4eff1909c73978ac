#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gofer::inline v0::sched {

struct fiber;

/// What a control block holds of a closure, with the alignment 16; larger ones lie in the heap.
inline constexpr std::size_t closure_room = 144;

/// A fiber that does not run yet, and the room for its closure.
struct fiber_draft {
  fiber* who;
  void* closure;
};

/// `stack_size` 0: the runtime's. Throws std::system_error when no stack can be had, std::bad_alloc.
fiber_draft draft_fiber(std::size_t stack_size, std::string_view name);
/// `body` returns true to be called anew (waiter::rest); else the fiber has finished.
void start_fiber(fiber_draft draft, bool (*body)(void* closure)) noexcept;
void discard_fiber(fiber_draft draft) noexcept;

template <class Closure>
inline constexpr bool fits_in_block = sizeof(Closure) <= closure_room && alignof(Closure) <= 16;

/// A draft with `f` as its closure.
template <class F>
fiber_draft draft_fiber(std::size_t stack_size, std::string_view name, F&& f) {
  const fiber_draft draft = draft_fiber(stack_size, name);
  try {
    new (draft.closure) std::decay_t<F>(std::forward<F>(f));
  } catch (...) {
    discard_fiber(draft);
    throw;
  }
  return draft;
}

/// Starts `f()` as a fiber, which owns `f`. Inlined always, so that the place it is called from is in user's code.
template <class F>
[[gnu::always_inline]] inline void start(std::size_t stack_size, std::string_view name, F&& f) {
  using closure = std::decay_t<F>;
  if constexpr (!fits_in_block<closure>) {
    start(stack_size, name, [boxed = std::make_unique<closure>(std::forward<F>(f))] { (*boxed)(); });
  } else {
    start_fiber(draft_fiber(stack_size, name, std::forward<F>(f)), [](void* at) {
      auto* own = static_cast<closure*>(at);
      struct destroy {
        closure* what;
        ~destroy() { what->~closure(); }
      } const at_end{own};
      std::move (*own)();
      return false;
    });
  }
}

}  // namespace gofer::inline v0::sched
