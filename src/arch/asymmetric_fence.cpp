#include <gofer/detail/arch/asymmetric_fence.hpp>

#include "arch/membarrier.hpp"

namespace gofer::inline v0::arch {
namespace {

bool register_membarrier() noexcept {
  const long commands = membarrier(MEMBARRIER_CMD_QUERY);
  return commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0 &&
         membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

}  // namespace

// Zero until it is initialized, so that earlier static initializers use the ordinary fence; heavy_fence runs both,
// so a light_fence of either kind is paired whatever this said when it ran.
const bool has_membarrier = register_membarrier();

void heavy_fence() noexcept {
  if (has_membarrier) membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  full_fence();
}

}  // namespace gofer::inline v0::arch
