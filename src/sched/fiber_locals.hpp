#pragma once

#include "sched/fiber.hpp"

namespace gofer::inline v0::sched {

/// Destroys the fiber_local values of a fiber whose body has returned; called on that fiber.
void destroy_fiber_locals(fiber& f) noexcept;

}  // namespace gofer::inline v0::sched
