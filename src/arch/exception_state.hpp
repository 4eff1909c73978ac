#pragma once

#include <cxxabi.h>

#include "arch/sanitizer.hpp"

namespace gofer::inline v0::arch {

/// What the C++ runtime keeps for each thread about exceptions in flight (Itanium C++ ABI, section 2.2.2). It
/// belongs to the fiber, so that a fiber may wait inside a `catch` and go on elsewhere.
struct exception_state {
  void* caught = nullptr;  // stack of exceptions being handled
  unsigned uncaught = 0;   // thrown and not yet caught
};

/// This thread's. noinline: the C++ runtime declares its accessor const, so a compiler may keep its result across a
/// switch, when the fiber is on another thread.
[[gnu::noinline]] inline exception_state* thread_exception_state() noexcept {
  asm volatile("" ::: "memory");
  return reinterpret_cast<exception_state*>(abi::__cxa_get_globals());
}

/// Takes the exception state of the fiber that is about to leave this thread; the thread's is empty then.
GOFER_SWITCH_CODE inline exception_state take_exception_state(exception_state* of_thread) noexcept {
  const exception_state taken = *of_thread;
  *of_thread = {};
  return taken;
}

/// Gives the fiber that has come back its exception state, on whatever thread it is now.
GOFER_SWITCH_CODE inline void restore_exception_state(exception_state* of_thread, exception_state of_fiber) noexcept {
  *of_thread = of_fiber;
}

}  // namespace gofer::inline v0::arch
