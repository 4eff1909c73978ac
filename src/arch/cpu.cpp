#include <sched.h>

#include <gofer/detail/arch/cpu.hpp>

namespace gofer::inline v0::arch {

void yield_thread() noexcept { sched_yield(); }

}  // namespace gofer::inline v0::arch
