#pragma once

#include <cstddef>

namespace gofer::inline v0::arch {

std::size_t page_size() noexcept;

/// Reserves address space for `count` stacks of `size` bytes each (a multiple of the page size), one after the
/// other. Memory is taken page by page as it is touched. The lowest page of every stack is a guard: touching it is
/// a fault. Throws std::system_error when the address space or the kernel's limit on mappings is used up.
std::byte* reserve_stacks(std::size_t size, std::size_t count);

/// Gives the memory of a stack back; its address space and its guard stay.
void give_back(std::byte* stack, std::size_t size) noexcept;

/// Forces the guard that kernels before 6.13 need (mprotect) on every stack reserved from now on; for tests.
void force_mprotect_guards(bool force) noexcept;

}  // namespace gofer::inline v0::arch
