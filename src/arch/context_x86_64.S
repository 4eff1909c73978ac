// void* gofer_switch_context(void** save (rdi), void* load (rsi), void* transfer (rdx))
//
// A saved context, from its stack pointer upwards:
//   0: mxcsr  4: x87 control word  8: r15  16: r14  24: r13  32: r12  40: rbx  48: rbp  56: where to go on
#if defined(__x86_64__)
        .text
        .globl  gofer_switch_context
        .hidden gofer_switch_context
        .type   gofer_switch_context, @function
        .p2align 4
gofer_switch_context:
        .cfi_startproc
        pushq   %rbp
        .cfi_adjust_cfa_offset 8
        pushq   %rbx
        .cfi_adjust_cfa_offset 8
        pushq   %r12
        .cfi_adjust_cfa_offset 8
        pushq   %r13
        .cfi_adjust_cfa_offset 8
        pushq   %r14
        .cfi_adjust_cfa_offset 8
        pushq   %r15
        .cfi_adjust_cfa_offset 8
        subq    $8, %rsp
        .cfi_adjust_cfa_offset 8
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        movl    (%rsp), %eax
        movw    4(%rsp), %cx
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp
        // Loading a control word is slow and nearly always changes nothing.
        cmpl    (%rsp), %eax
        je      1f
        ldmxcsr (%rsp)
1:      cmpw    4(%rsp), %cx
        je      2f
        fldcw   4(%rsp)
2:      addq    $8, %rsp
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbx
        popq    %rbp
        movq    %rdx, %rax
        // A ret, although the return predictor remembers the other stack's calls: fibers mostly wait in the same places,
        // so that these predictions are right, and a jump would leave one too many for all the returns that follow.
        retq
        .cfi_endproc
        .size   gofer_switch_context, .-gofer_switch_context

        // Where a new context begins: rbx holds its entry, rax what was transferred. Unwinders stop here.
        .globl  gofer_begin_context
        .hidden gofer_begin_context
        .type   gofer_begin_context, @function
        .p2align 4
gofer_begin_context:
        .cfi_startproc
        .cfi_undefined rip
        xorl    %ebp, %ebp
        movq    %rax, %rdi
        callq   *%rbx
        ud2
        .cfi_endproc
        .size   gofer_begin_context, .-gofer_begin_context
#endif
        .section .note.GNU-stack,"",%progbits
