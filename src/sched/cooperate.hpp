#pragma once

namespace gofer::inline v0::sched {

/// Called before an operation that may succeed many times in a row without a wait: lets others run now and then.
void cooperate() noexcept;

}  // namespace gofer::inline v0::sched
