#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <gofer/detail/arch/cpu.hpp>

#if defined(__x86_64__) && !defined(GOFER_TSAN) && __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#define GOFER_RESTARTABLE 1
#endif

namespace gofer::inline v0::arch {

#if defined(GOFER_RESTARTABLE)
inline constexpr bool can_restart = true;
#else
inline constexpr bool can_restart = false;
#endif

/// While the kernel interrupts restartable sequences (rseq(2)) of all threads when it is asked to (membarrier(2)): how
/// far from its thread pointer each thread has the area that the kernel looks at. Otherwise 0. Set before `main`, if
/// ever.
extern std::atomic<std::ptrdiff_t> restart_area;

/// Stores 0 in `word` if it holds `expected`; releases. False: it holds something else, or, seldom, no reason. For the
/// only thread that may store there by anything but atomic read-modify-writes. Where there are restarts, others' of
/// these may be lost just then, for comparing and storing are two instructions; whoever did one calls
/// `restart_everywhere`, and then looks whether it is still there: if so, nobody is between the two any more. In return
/// there is no locked instruction, which is half the price of a mutex that nobody else wants. Elsewhere it is an
/// ordinary compare and exchange.
[[gnu::always_inline]] inline bool compare_and_clear(std::atomic<std::uintptr_t>& word,
                                                     std::uintptr_t expected) noexcept {
#if defined(GOFER_RESTARTABLE)
  if (const std::ptrdiff_t area = restart_area.load(std::memory_order_relaxed); area != 0) [[likely]] {
    // From 1 to 2 the thread is not interrupted: if it would be, the kernel has it go on at 4. What describes that lies
    // in a section of its own, whose address is in the thread's area for as long. The first three instructions look
    // once more whether there are restarts, for give_restarts_up: if not, what the word is compared with has bits of
    // `area` in it, which is no address, and the word never has. A branch of its own, or one more place in memory to
    // look at, and what follows the locked instruction of a lock took five times as long on some processors.
    asm goto(
        ".pushsection __rseq_cs, \"aw?\"\n"
        ".balign 32\n"
        "3: .long 0, 0\n"
        ".quad 1f, 2f - 1f, 4f\n"
        ".popsection\n"
        "leaq 3b(%%rip), %%rax\n"
        "movq %%rax, %%fs:%c[described_at](%[area])\n"
        "1: movq %[restart_area], %%rax\n"
        "xorq %[area], %%rax\n"
        "orq %[expected], %%rax\n"
        "cmpq %%rax, %[word]\n"
        "jne 2f\n"
        "movq $0, %[word]\n"
        "2: movq $0, %%fs:%c[described_at](%[area])\n"
        "jne %l[refused]\n"
        ".pushsection __rseq_failure, \"ax?\"\n"
        ".byte 0x0f, 0xb9, 0x3d\n"  // what has to be before 4, as an instruction that nobody executes
        ".long %c[signature]\n"
        "4: jmp %l[refused]\n"
        ".popsection\n"
        :
        : [word] "m"(word), [restart_area] "m"(restart_area), [expected] "er"(expected), [area] "r"(area),
          [described_at] "i"(__builtin_offsetof(struct rseq, rseq_cs)), [signature] "i"(RSEQ_SIG)
        : "rax", "cc", "memory"
        : refused);
    return true;
  refused:
    return false;
  }
#endif
  return word.compare_exchange_strong(expected, 0, std::memory_order_release, std::memory_order_relaxed);
}
/// For atomics that are no std::atomic.
template <class Atomic>
bool compare_and_clear(Atomic& word, std::uintptr_t expected) noexcept {
  return word.compare_exchange_strong(expected, 0, std::memory_order_release, std::memory_order_relaxed);
}

/// When it returns no thread is in the middle of a `compare_and_clear` that it began before. About a microsecond; more
/// while other cores are busy with this process, some 50 of them where each has to be asked by way of a hypervisor.
void restart_everywhere() noexcept;

/// From now on every `compare_and_clear` is an ordinary one.
void give_restarts_up() noexcept;

}  // namespace gofer::inline v0::arch
