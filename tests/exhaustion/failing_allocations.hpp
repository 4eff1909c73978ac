#pragma once

namespace test {

/// While one lives in a child of `with_each_allocation_failing`, the allocation whose turn it is fails.
class failing_allocations {
 public:
  failing_allocations() noexcept;
  failing_allocations(const failing_allocations&) = delete;
  failing_allocations& operator=(const failing_allocations&) = delete;
  ~failing_allocations();
};

/// Runs `scenario` in a new process for each allocation that it makes, on whatever thread, while failing_allocations
/// live: in each another one fails, once, with std::bad_alloc. The scenario has to cope, and says by EXPECT what holds
/// nevertheless; it must not crash, hang, or leak. Only what the library keeps of a thread that it did not make itself
/// is nothing that it could do without: the scenario's has it from the start. Returns how many allocations there are.
/// Under AddressSanitizer only some of them fail.
long with_each_allocation_failing(void (*scenario)());

/// True if f() went through, false if it threw std::bad_alloc.
template <class F>
bool had_memory(F f);

}  // namespace test

#include <new>

template <class F>
bool test::had_memory(F f) {
  try {
    f();
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}
