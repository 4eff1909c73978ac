#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>

#include <gofer/detail/arch/spin_lock.hpp>

#include "sched/fiber_stack.hpp"
#include "sched/free_list.hpp"
#include "sched/stock.hpp"

namespace gofer::inline v0::sched {

struct processor;

/// Makes stacks, in slabs of address space, and keeps the free ones: a few warm ones at every processor, the other warm
/// ones here, and here also the cold ones, which hold no memory.
///
/// A stack is promised when a fiber is started, and taken when it first runs: the one may fail, the other must not.
class stack_depot {
 public:
  static constexpr unsigned kept_at_processor = 32;

  /// Stacks of the class `by_default` are kept at processors, of which there are `processors` without surplus ones,
  /// which keep none.
  stack_depot(unsigned by_default, unsigned processors) noexcept
      : default_class_(by_default), processors_(processors) {}

  /// The class of stacks of at least `size` bytes: the binary logarithm of their size, which is at least 16 KiB.
  static unsigned class_of(std::size_t size) noexcept;

  /// Promises a stack to a fiber that is being started. Throws std::system_error when it cannot be had.
  void promise(unsigned stack_class, processor* p);
  /// The fiber is no more.
  void release(unsigned stack_class, processor* p) noexcept;

  /// A promised stack.
  fiber_stack* take(unsigned stack_class, processor* p) noexcept;
  /// Takes it back. It is not in use any more.
  void put(fiber_stack* stack, processor* p) noexcept;

  /// Takes back what an idle processor keeps; called by its owner.
  void flush(processor& p) noexcept;

  /// Gives the memory of stacks back that were not needed since the last call. Returns true if there is more to be
  /// given back by a later call. One caller at a time.
  bool trim() noexcept;

 private:
  static constexpr unsigned size_classes = 64;
  static constexpr unsigned promised_at_once = 64;
  static constexpr unsigned batch = kept_at_processor / 2;

  struct size_class {
    arch::spin_lock lock;
    free_list<fiber_stack> warm;  // guarded by lock
    unsigned fewest_warm = 0;     // since the last trim; guarded by lock
    stock<std::byte> cold;        // hold no memory; guarded by lock
    std::atomic<std::size_t> promised{0};
    std::mutex growing;
    std::atomic<std::size_t> made{0};  // changed under growing
  };

  bool keeps(const processor* p, unsigned stack_class) const noexcept;
  void promise(unsigned stack_class, std::size_t count);
  void grow(size_class& sized, unsigned stack_class, std::size_t wanted);
  bool cool_some(size_class& sized) noexcept;

  const unsigned default_class_;
  const unsigned processors_;
  size_class classes_[size_classes];
};

}  // namespace gofer::inline v0::sched
