#pragma once

#include "sched/runtime.hpp"

namespace gofer::inline v0::debug {

/// When nothing runs: if every fiber waits for ever, and no timer, socket, signal or other thread can wake one, reports
/// who waits for what and aborts. Returns true if that may yet become so without anything happening that the runtime
/// sees: a thread that it does not know ends.
bool report_deadlock(sched::runtime& r) noexcept;

}  // namespace gofer::inline v0::debug
