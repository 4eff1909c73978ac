#pragma once

namespace gofer::inline v0::debug {

/// Lets the watch on the order of locks see stacks and report.
void install_lock_reports() noexcept;

}  // namespace gofer::inline v0::debug
