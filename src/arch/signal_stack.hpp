#pragma once

#include <cstddef>
#include <memory>

namespace gofer::inline v0::arch {

/// A stack for the signal handlers of the calling thread that ask for one (SA_ONSTACK), from construction to
/// destruction: the fiber that is interrupted may have used up its own. Does nothing if the thread has one.
class signal_stack {
 public:
  signal_stack() noexcept;
  signal_stack(const signal_stack&) = delete;
  signal_stack& operator=(const signal_stack&) = delete;
  ~signal_stack();

 private:
  std::unique_ptr<std::byte[]> memory_;
};

}  // namespace gofer::inline v0::arch
