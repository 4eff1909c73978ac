#include "arch/stack.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>

namespace gofer::inline v0::arch {
namespace {

// Linux 6.13: faults on a page without a mapping of its own. Not in Debian 12's headers.
constexpr int guard_install = 102;
// Linux 6.14 (PIDFD_SELF): the calling thread, and so its process, where a descriptor of one is asked for.
constexpr int pidfd_self = -10000;

std::atomic<bool> lightweight_guards{true};

constexpr std::size_t advised_at_once = 64;

/// madvise(2) for all of these, with one call where the kernel lets a process advise itself. Returns for how many.
std::size_t advise(std::span<const iovec> ranges, int advice) noexcept {
  long together = syscall(SYS_process_madvise, pidfd_self, ranges.data(), ranges.size(), advice, 0);
  std::size_t count = 0;
  for (; count < ranges.size(); ++count) {
    const auto [begin, size] = ranges[count];
    together -= static_cast<long>(size);
    if (together < 0 && madvise(begin, size, advice) != 0) break;
  }
  return count;
}

bool guard(std::span<const iovec> pages) noexcept {
  if (lightweight_guards.load(std::memory_order_relaxed)) {
    pages = pages.subspan(advise(pages, guard_install));
    if (pages.empty()) return true;
    lightweight_guards.store(false, std::memory_order_relaxed);
  }
  return std::ranges::all_of(pages,
                             [](const iovec& page) { return mprotect(page.iov_base, page.iov_len, PROT_NONE) == 0; });
}

/// Calls f(ranges) for `count` ranges, of which range(i) is the i-th, some at a time; stops at a false.
template <class Range, class F>
bool some_at_a_time(std::size_t count, Range&& range, F&& f) {
  std::array<iovec, advised_at_once> some;
  for (std::size_t done = 0; done < count;) {
    std::size_t size = 0;
    while (size < some.size() && done < count) some[size++] = range(done++);
    if (!f(std::span<const iovec>(some.data(), size))) return false;
  }
  return true;
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
  const auto lowest_page = [&](std::size_t i) { return iovec{base + i * size, page_size()}; };
  if (!some_at_a_time(count, lowest_page, guard)) {
    const int error = errno;
    munmap(region, size * count);
    throw std::system_error(error, std::system_category(),
                            "gofer: cannot guard a fiber stack; raise the sysctl vm.max_map_count, or use a "
                            "kernel of 6.13 or later");
  }
  return base;
}

void give_back(std::span<std::byte* const> stacks, std::size_t size) noexcept {
  const auto above_guard = [&](std::size_t i) { return iovec{stacks[i] + page_size(), size - page_size()}; };
  some_at_a_time(stacks.size(), above_guard, [](std::span<const iovec> ranges) {
    // One in which its fiber has locked memory cannot be given back; the others can.
    while (!ranges.empty()) ranges = ranges.subspan(std::min(advise(ranges, MADV_DONTNEED) + 1, ranges.size()));
    return true;
  });
}

}  // namespace gofer::inline v0::arch
