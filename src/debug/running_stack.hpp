#pragma once

#include "debug/call_stack.hpp"
#include "sched/inspect.hpp"

namespace gofer::inline v0::debug {

/// The stack of a fiber that was seen running, taken on its thread, which is interrupted with SIGURG for that. Empty if
/// the fiber runs no longer, its thread has the signal blocked or no core within a tenth of a second, or the program
/// handles SIGURG itself. For one caller at a time.
call_stack walk_running(const sched::sighting& seen) noexcept;

}  // namespace gofer::inline v0::debug
