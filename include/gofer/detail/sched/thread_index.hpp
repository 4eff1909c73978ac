#pragma once

namespace gofer::inline v0::sched {

/// A small number that belongs to the calling OS thread until it ends; then another thread gets it, and everything
/// the first did happens before everything that the other does. Never inlined: a fiber asks again after every wait.
unsigned thread_index() noexcept;

}  // namespace gofer::inline v0::sched
