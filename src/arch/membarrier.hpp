#pragma once

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace gofer::inline v0::arch {

inline long membarrier(int command) noexcept { return syscall(SYS_membarrier, command, 0, 0); }

}  // namespace gofer::inline v0::arch
