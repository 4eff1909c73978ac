#pragma once

#include <cstddef>
#include <span>

namespace gofer::inline v0::arch {

std::size_t page_size() noexcept;

/// Reserves address space for `count` stacks of `size` bytes each (a multiple of the page size), one after the
/// other. Memory is taken page by page as it is touched. The lowest page of every stack is a guard: touching it is
/// a fault. Throws std::system_error when the address space or the kernel's limit on mappings is used up.
std::byte* reserve_stacks(std::size_t size, std::size_t count);

/// Gives the memory of stacks of that size back; their address space and their guards stay.
void give_back(std::span<std::byte* const> stacks, std::size_t size) noexcept;

/// Forces the guard that kernels before 6.13 need (mprotect) on every stack reserved from now on; for tests.
void force_mprotect_guards(bool force) noexcept;

}  // namespace gofer::inline v0::arch
