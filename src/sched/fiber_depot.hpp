#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include <gofer/detail/arch/spin_lock.hpp>

#include "sched/fiber.hpp"

namespace gofer::sched {

struct processor;

/// Makes fibers with their stacks, in slabs, and keeps those that have finished for reuse: a short list at every
/// processor, the rest here by stack size.
class fiber_depot {
 public:
  /// A fiber that nobody runs, with a stack of `stack_size` bytes (a size this returned from `round`). `p` is the
  /// calling thread's processor or null. Throws std::system_error when no stack can be had.
  fiber* get(std::size_t stack_size, std::size_t default_size, processor* p);

  /// Takes back a fiber that has finished and is on no thread any more.
  void put(fiber* f, std::size_t default_size, processor* p) noexcept;

  /// The stack size that fibers get when they ask for `size`: a power of two, at least 16 KiB.
  static std::size_t round(std::size_t size) noexcept;

 private:
  static constexpr unsigned kept_at_processor = 512;
  static constexpr unsigned batch = 128;
  static constexpr unsigned size_classes = 64;  // by the binary logarithm

  struct size_class {
    arch::spin_lock lock;
    fiber* free = nullptr;
    std::mutex growing;
  };

  fiber* take(size_class& from, unsigned count) noexcept;
  fiber* grow(size_class& into, std::size_t stack_size);

  size_class classes_[size_classes];
};

}  // namespace gofer::sched
