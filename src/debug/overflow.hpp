#pragma once

namespace gofer::inline v0::debug {

/// From now on a fiber that runs over the end of its stack is reported by name before the program is aborted. Other
/// faults go to whoever handled them before.
void watch_for_overflow() noexcept;

}  // namespace gofer::inline v0::debug
