#pragma once

#include <cstddef>
#include <cstdint>

#include "arch/sanitizer.hpp"

namespace gofer::inline v0::arch {

/// Where a new context begins. `transfer` is what the switch that enters it was given.
using context_entry = void (*)(void* transfer);

/// What is kept of a context that does not run, at the address that names it. The compiler keeps the rest: where a
/// switch is inlined it saves the registers that it needs afterwards, and no others.
struct saved_context {
  std::uintptr_t frame;  // the frame pointer: the one register that a compiler may refuse to save by itself
  std::uintptr_t pc;     // where to go on
};

/// How far above a saved context the stack pointer is where it goes on.
#if defined(__x86_64__)
inline constexpr std::size_t saved_context_size = sizeof(saved_context) + 128;  // 128: the ABI's red zone
#else
inline constexpr std::size_t saved_context_size = sizeof(saved_context);
#endif

/// Lays out a context at the top of a stack, so that the first switch to it calls `entry` there. Returns what to
/// switch to. `top` is the first byte past the stack's usable end and need not be aligned.
GOFER_SWITCH_CODE void* make_context(std::byte* top, context_entry entry) noexcept;

/// Saves the caller's context in `*save`, goes on in `load`, and hands it `transfer`, which is what the switch that
/// had left `load` returns there. Keeps what the ABI makes callee-saved, but for the floating-point control words: see
/// float_state.hpp.
///
/// A jump, not a return: the processor's return predictor remembers the calls of the stack that is left.
[[gnu::always_inline]] inline void* switch_context(void** save, void* load, void* transfer) noexcept {
#if defined(__x86_64__)
  asm volatile(
      "leaq   -128(%%rsp), %%rsp\n\t"
      "leaq   1f(%%rip), %%rax\n\t"
      "pushq  %%rax\n\t"
      "pushq  %%rbp\n\t"
      "movq   %%rsp, (%[save])\n\t"
      "movq   %[load], %%rsp\n\t"
      "popq   %%rbp\n\t"
      "popq   %%rax\n\t"
      "leaq   128(%%rsp), %%rsp\n\t"
      "jmpq   *%%rax\n"
      "1:"
      : [save] "+D"(save), [load] "+S"(load), "+d"(transfer)
      :
      : "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory", "xmm0", "xmm1",
        "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
        "xmm15"
#if defined(__AVX512F__)
        ,
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7"
#endif
  );
  return transfer;
#elif defined(__aarch64__)
  register void** to_save asm("x0") = save;
  register void* to_load asm("x1") = load;
  register void* transferred asm("x2") = transfer;
  asm volatile(
      "adr    x9, 1f\n\t"
      "stp    x29, x9, [sp, #-16]!\n\t"
      "mov    x9, sp\n\t"
      "str    x9, [x0]\n\t"
      "mov    sp, x1\n\t"
      "ldp    x29, x9, [sp], #16\n\t"
      "br     x9\n"
      "1:"
      : "+r"(to_save), "+r"(to_load), "+r"(transferred)
      :
      : "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19",
        "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "cc", "memory", "v0", "v1", "v2", "v3",
        "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20",
        "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
  return transferred;
#else
#error "gofer has no context switch for this CPU; x86-64 and aarch64 are supported"
#endif
}

}  // namespace gofer::inline v0::arch
