#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <string_view>
#include <type_traits>
#include <utility>

namespace gofer::sched {

struct fiber;

/// A fiber with a stack that does not run yet, and room on that stack for its closure.
struct fiber_draft {
  fiber* who;
  void* closure;
};

/// `stack_size` 0: the runtime's. Throws std::system_error when no stack can be had.
fiber_draft draft_fiber(std::size_t closure_size, std::size_t alignment, std::size_t stack_size, std::string_view name);
void start_fiber(fiber_draft draft, void (*body)(void* closure)) noexcept;
void discard_fiber(fiber_draft draft) noexcept;

/// Starts `f()` as a fiber, which owns `f`.
template <class F>
void start(std::size_t stack_size, std::string_view name, F&& f) {
  using closure = std::decay_t<F>;
  constexpr std::size_t most_on_stack = 4096;
  if constexpr (sizeof(closure) > most_on_stack) {
    start(stack_size, name, [boxed = std::make_unique<closure>(std::forward<F>(f))] { (*boxed)(); });
  } else {
    const fiber_draft draft = draft_fiber(sizeof(closure), alignof(closure), stack_size, name);
    try {
      new (draft.closure) closure(std::forward<F>(f));
    } catch (...) {
      discard_fiber(draft);
      throw;
    }
    start_fiber(draft, [](void* at) {
      auto* own = static_cast<closure*>(at);
      struct destroy {
        closure* what;
        ~destroy() { what->~closure(); }
      } const at_end{own};
      std::move (*own)();
    });
  }
}

}  // namespace gofer::sched
