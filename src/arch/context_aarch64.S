// void* gofer_switch_context(void** save (x0), void* load (x1), void* transfer (x2))
//
// A saved context, from its stack pointer upwards: x19 to x28, x29 (frame), x30 (where to go on), d8 to d15, fpcr.
#if defined(__aarch64__)
        .text
        .globl  gofer_switch_context
        .hidden gofer_switch_context
        .type   gofer_switch_context, %function
        .p2align 4
gofer_switch_context:
        .cfi_startproc
        sub     sp, sp, #176
        .cfi_adjust_cfa_offset 176
        stp     x19, x20, [sp, #0]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mrs     x10, fpcr
        str     x10, [sp, #160]
        mov     x9, sp
        str     x9, [x0]
        mov     sp, x1
        // Writing the control register is slow and nearly always changes nothing.
        ldr     x11, [sp, #160]
        cmp     x10, x11
        b.eq    1f
        msr     fpcr, x11
1:      ldp     x19, x20, [sp, #0]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #176
        .cfi_adjust_cfa_offset -176
        mov     x0, x2
        // A ret, as on x86-64.
        ret
        .cfi_endproc
        .size   gofer_switch_context, .-gofer_switch_context

        // Where a new context begins: x19 holds its entry, x0 what was transferred. Unwinders stop here.
        .globl  gofer_begin_context
        .hidden gofer_begin_context
        .type   gofer_begin_context, %function
        .p2align 4
gofer_begin_context:
        .cfi_startproc
        .cfi_undefined x30
        mov     x29, xzr
        mov     x30, xzr
        blr     x19
        brk     #1
        .cfi_endproc
        .size   gofer_begin_context, .-gofer_begin_context
#endif
        .section .note.GNU-stack,"",%progbits
