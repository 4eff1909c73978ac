#include "arch/context.hpp"

#include <cstring>

namespace gofer::inline v0::arch {

// Where a new context begins: the frame pointer holds its entry, the third argument's register what was transferred.
// Unwinders stop here.
extern "C" void gofer_begin_context() noexcept;

#if defined(__x86_64__)
asm(R"(
        .text
        .globl  gofer_begin_context
        .hidden gofer_begin_context
        .type   gofer_begin_context, @function
        .p2align 4
gofer_begin_context:
        .cfi_startproc
        .cfi_undefined rip
        movq    %rbp, %rax
        xorl    %ebp, %ebp
        movq    %rdx, %rdi
        callq   *%rax
        ud2
        .cfi_endproc
        .size   gofer_begin_context, .-gofer_begin_context
)");
#elif defined(__aarch64__)
asm(R"(
        .text
        .globl  gofer_begin_context
        .hidden gofer_begin_context
        .type   gofer_begin_context, %function
        .p2align 4
gofer_begin_context:
        .cfi_startproc
        .cfi_undefined x30
        mov     x9, x29
        mov     x29, xzr
        mov     x30, xzr
        mov     x0, x2
        blr     x9
        brk     #1
        .cfi_endproc
        .size   gofer_begin_context, .-gofer_begin_context
)");
#endif

GOFER_SWITCH_CODE void* make_context(std::byte* top, context_entry entry) noexcept {
  // The ABIs want the stack pointer a multiple of 16 where the entry is called.
  const auto begins = reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15};
  const saved_context context{.frame = reinterpret_cast<std::uintptr_t>(entry),
                              .pc = reinterpret_cast<std::uintptr_t>(gofer_begin_context)};
  auto* at = reinterpret_cast<std::byte*>(begins) - saved_context_size;
  std::memcpy(at, &context, sizeof(context));
  return at;
}

}  // namespace gofer::inline v0::arch
