#pragma once

#include <cstddef>
#include <cstdint>

namespace gofer::inline v0 {

/// How the runtime is to be. The defaults suit most programs.
struct runtime_options {
  /// How many OS threads run fibers at the same time. 0: the environment variable GOFER_PROCS if it is set, else what
  /// the CPU affinity and the control group's quota allow.
  unsigned processors = 0;
  /// Bytes of address space for the stack of a fiber, rounded up to a power of two; only touched pages take memory.
  std::size_t stack_size = std::size_t{256} * 1024;
  /// How many fibers at most that compute or block their thread for long without saying so (`gofer::blocking`) are made
  /// good for: while one keeps its processor for more than 10 ms and others wait, a surplus processor runs these.
  unsigned surplus_processors = 256;
};

/// Sets the options. To be called before anything else of the library is used: the first use starts the runtime.
/// Throws std::logic_error once it has started, std::invalid_argument for sizes that cannot be.
void configure(const runtime_options& options);

/// How many processors run fibers; at least 1. Does not start the runtime.
unsigned processors() noexcept;

/// What the runtime has done and is doing. Each number is exact for some moment while the call ran, but not all for
/// the same one.
struct runtime_stats {
  std::uint64_t fibers = 0;         // alive: started and not finished
  std::uint64_t runnable = 0;       // of these, ready to run and waiting for a processor
  std::uint64_t parked = 0;         // of these, waiting in some operation
  std::uint64_t started = 0;        // fibers since the start of the program
  std::uint64_t switches = 0;       // from one fiber to another, or to the scheduler
  std::uint64_t steals = 0;         // fibers that a processor took from another
  std::uint64_t handoffs = 0;       // processors given away by blocking()
  std::uint64_t parks = 0;          // waits that gave up the processor
  unsigned processors = 0;          // that run fibers when there is work, surplus ones not counted
  unsigned idle_processors = 0;     // of these, without work
  unsigned surplus_processors = 0;  // that run now because others stand still
  unsigned threads = 0;             // worker threads, with and without a processor
};

/// All zero before the runtime has started.
runtime_stats stats();

}  // namespace gofer::inline v0
