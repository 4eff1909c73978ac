#pragma once

#include "sched/fiber.hpp"
#include "sched/thread.hpp"

namespace gofer::inline v0::sched {

class runtime;

/// Leaves the calling fiber `self`, for the next of its processor or for the scheduler; returns when it is resumed,
/// maybe on another thread. What the departure asks for is done by the destination, when this stack is not in use any
/// more.
void depart(thread& t, fiber& self, departure why) noexcept;

/// From a worker's scheduler: runs `f`, and what follows it without coming back here, until a fiber departs and its
/// processor has no other at hand.
void run(thread& t, fiber& f) noexcept;

}  // namespace gofer::inline v0::sched
