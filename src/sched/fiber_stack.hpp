#pragma once

#include <cstddef>

#include "arch/sanitizer.hpp"
#include "sched/owned.hpp"

namespace gofer::sched {

/// What is known of a stack; lies at its top.
struct fiber_stack {
  std::byte* low = nullptr;  // lowest byte, the guard page
  std::size_t size = 0;
  owned<fiber_stack*> link;  // in a list of free stacks
  arch::sanitized_stack sanitized;
};

}  // namespace gofer::sched
