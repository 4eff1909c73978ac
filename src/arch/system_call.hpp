#pragma once

#include <cerrno>

#include "arch/sanitizer.hpp"

namespace gofer::inline v0::arch {

/// Calls `call()`, a system call that returns -1 and sets errno when it fails; returns its result, or minus the error
/// number. noinline: the address of errno is the thread's, and as its accessor is declared const a compiler may keep it
/// across a wait, after which a fiber may be on another thread and would read the errno of the first.
template <class Call>
[[gnu::noinline]] GOFER_SWITCH_CODE long system_call(Call&& call) noexcept {
  const long result = call();
  return result >= 0 ? result : -static_cast<long>(errno);
}

}  // namespace gofer::inline v0::arch
