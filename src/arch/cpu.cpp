#include <sched.h>

#include <gofer/detail/arch/cpu.hpp>

namespace gofer::arch {

void yield_thread() noexcept { sched_yield(); }

}  // namespace gofer::arch
