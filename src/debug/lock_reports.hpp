#pragma once

namespace gofer::debug {

/// Lets the watch on the order of locks see stacks and report.
void install_lock_reports() noexcept;

}  // namespace gofer::debug
