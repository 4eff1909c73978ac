#include "arch/signal_stack.hpp"

#include <signal.h>

#include <new>

namespace gofer::inline v0::arch {

signal_stack::signal_stack() noexcept {
  constexpr std::size_t size = std::size_t{64} * 1024;
  stack_t now{};
  if (sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return;
  memory_.reset(new (std::nothrow) std::byte[size]);
  if (memory_ == nullptr) return;
  stack_t ours{};
  ours.ss_sp = memory_.get();
  ours.ss_size = size;
  sigaltstack(&ours, nullptr);
}

signal_stack::~signal_stack() {
  if (memory_ == nullptr) return;
  stack_t none{};
  none.ss_flags = SS_DISABLE;
  sigaltstack(&none, nullptr);
}

}  // namespace gofer::inline v0::arch
