#include <gofer/detail/arch/restartable.hpp>

#include "arch/membarrier.hpp"

namespace gofer::inline v0::arch {

constinit std::atomic<bool> has_restarts{false};

#if defined(GOFER_RESTARTABLE)

namespace {

// The C library registers every thread's area, or none's: then its size is 0. Stored with a fence: whoever has changed
// a word and sees no restarts then is seen by those who see them.
[[maybe_unused]] const bool registered = [] {
  const bool can = __rseq_size != 0 && membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) == 0;
  has_restarts.store(can);
  return can;
}();

}  // namespace

void restart_everywhere() noexcept {
  if (has_restarts.load()) membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
}

void give_restarts_up() noexcept {
  if (has_restarts.exchange(false)) membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
}

#else

void restart_everywhere() noexcept {}

void give_restarts_up() noexcept {}

#endif

}  // namespace gofer::inline v0::arch
