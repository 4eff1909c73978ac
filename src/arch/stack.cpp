#include "arch/stack.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>

namespace gofer::inline v0::arch {
namespace {

// Linux 6.13: faults on a page without a mapping of its own. Not in Debian 12's headers.
constexpr int guard_install = 102;

std::atomic<bool> lightweight_guards{true};

bool guard(std::byte* page) noexcept {
  if (lightweight_guards.load(std::memory_order_relaxed)) {
    if (madvise(page, page_size(), guard_install) == 0) return true;
    lightweight_guards.store(false, std::memory_order_relaxed);
  }
  return mprotect(page, page_size(), PROT_NONE) == 0;
}

}  // namespace

std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

void force_mprotect_guards(bool force) noexcept { lightweight_guards.store(!force, std::memory_order_relaxed); }

std::byte* reserve_stacks(std::size_t size, std::size_t count) {
  void* region = mmap(nullptr, size * count, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (region == MAP_FAILED) {
    throw std::system_error(
        errno, std::system_category(),
        "gofer: cannot reserve " + std::to_string(size * count) + " bytes of address space for fiber stacks");
  }
  auto* base = static_cast<std::byte*>(region);
  madvise(base, size * count, MADV_NOHUGEPAGE);  // else one touched page becomes 2 MiB; refusal costs memory only
  for (std::size_t i = 0; i < count; ++i) {
    if (guard(base + i * size)) continue;
    const int error = errno;
    munmap(region, size * count);
    throw std::system_error(error, std::system_category(),
                            "gofer: cannot guard a fiber stack; raise the sysctl vm.max_map_count, or use a "
                            "kernel of 6.13 or later");
  }
  return base;
}

void give_back(std::byte* stack, std::size_t size) noexcept {
  madvise(stack + page_size(), size - page_size(), MADV_DONTNEED);
}

}  // namespace gofer::inline v0::arch
