#pragma once

#include <cstddef>

#include "arch/sanitizer.hpp"
#include "sched/owned.hpp"

namespace gofer::inline v0::sched {

/// What is known of a stack; lies at its top.
struct fiber_stack {
  owned<std::byte*> low;  // lowest byte, the guard page
  owned<std::size_t> size;
  owned<fiber_stack*> link;  // in a list of free stacks
  arch::sanitized_stack sanitized;
};

}  // namespace gofer::inline v0::sched
