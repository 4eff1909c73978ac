#pragma once

#include <atomic>

#include <gofer/detail/arch/cpu.hpp>

namespace gofer::inline v0::arch {

/// True when the kernel runs a fence on every core for us (membarrier(2)). Settled before `main`.
extern const bool has_membarrier;

/// The frequent side of a pair in which each side stores, fences, then loads what the other stored. Pairs with
/// `heavy_fence`; costs nothing where the kernel has membarrier(2), a full fence elsewhere.
inline void light_fence() noexcept {
#if !defined(GOFER_TSAN)
  if (has_membarrier) [[likely]] {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return;
  }
#endif
  full_fence();
}

/// The rare side; about a microsecond, more while many cores are busy with this process.
void heavy_fence() noexcept;

}  // namespace gofer::inline v0::arch
