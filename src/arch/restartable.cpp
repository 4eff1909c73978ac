#include <gofer/detail/arch/restartable.hpp>

#include "arch/membarrier.hpp"

namespace gofer::inline v0::arch {

constinit std::atomic<std::ptrdiff_t> restart_area{0};

#if defined(GOFER_RESTARTABLE)

namespace {

// The C library registers every thread's area, or none's: then its size is 0. Stored with a fence: whoever has changed
// a word and sees no restarts then is seen by those who see them.
[[maybe_unused]] const bool registered = [] {
  const bool can = __rseq_size != 0 && membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) == 0;
  if (can) restart_area.store(__rseq_offset);
  return can;
}();

}  // namespace

void restart_everywhere() noexcept {
  if (restart_area.load() != 0) membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
}

void give_restarts_up() noexcept {
  if (restart_area.exchange(0) != 0) membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ);
}

#else

void restart_everywhere() noexcept {}

void give_restarts_up() noexcept {}

#endif

}  // namespace gofer::inline v0::arch
