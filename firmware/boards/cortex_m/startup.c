/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up of every Cortex-M: vector table, FPU or MVE, .data, .bss, main, faults. */
#include <stdint.h>

#include "board.h"
#include "counter.h"
#include "semihosting.h"

/* Laid out by the linker script. */
extern uint32_t board_stack_limit[];
extern uint32_t board_stack_top[];
extern const uint32_t board_data_load[];
extern uint32_t board_data_start[];
extern uint32_t board_data_end[];
extern uint32_t board_bss_start[];
extern uint32_t board_bss_end[];

/* What start-up copies to memories of its own. */
typedef struct copy {
    const uint32_t *from;
    uint32_t *to;
    uint32_t bytes;
} copy;
extern const copy board_copies_start[];
extern const copy board_copies_end[];

int main(int argc, char **argv);
void reset_handler(void);

static void print_register(const char *name, uintptr_t address) {
    const uint32_t value = *(volatile const uint32_t *)address;
    char digits[10];
    for (uint32_t i = 0; i < 8; i++) {
        digits[i] = "0123456789abcdef"[(value >> (28 - 4 * i)) & 15u];
    }
    digits[8] = ' ';
    digits[9] = '\0';
    semihosting_print(name);
    semihosting_print(digits);
}

static void fault_handler(void) {
    semihosting_print("fault: ");
    print_register("ICSR=", 0xE000ED04u);
    print_register("CFSR=", 0xE000ED28u);
    print_register("HFSR=", 0xE000ED2Cu);
    print_register("MMFAR=", 0xE000ED34u);
    print_register("BFAR=", 0xE000ED38u);
    semihosting_print("\n");
    semihosting_exit(BOARD_ERROR_FAULT);
}

/* Apart from the reset handler, so that no vector instruction moves ahead of the FPU's start. */
__attribute__((noinline, noreturn)) static void start(void) {
    const uint32_t *from = board_data_load;
    for (volatile uint32_t *to = board_data_start; to < board_data_end; to++) {
        *to = *from++;
    }
    for (const copy *each = board_copies_start; each < board_copies_end; each++) {
        for (uint32_t i = 0; i < each->bytes / sizeof *each->from; i++) {
            ((volatile uint32_t *)each->to)[i] = each->from[i];
        }
    }
    for (volatile uint32_t *to = board_bss_start; to < board_bss_end; to++) {
        *to = 0;
    }
    counter_start();
    semihosting_exit(main(0, 0));
}

void reset_handler(void) {
#if __ARM_ARCH >= 8
    __asm volatile("msr msplim, %0" : : "r"(board_stack_limit));
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    volatile uint32_t *const cpacr = (volatile uint32_t *)0xE000ED88u;
    *cpacr |= 0xFu << 20;
    __asm volatile("dsb\n\tisb" : : : "memory");
#endif
    start();
}

typedef union vector {
    uint32_t *stack;
    void (*handler)(void);
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.stack = board_stack_top},   {.handler = reset_handler}, {.handler = fault_handler},
    {.handler = fault_handler},   {.handler = fault_handler}, {.handler = fault_handler},
    {.handler = fault_handler},   {.handler = fault_handler}, {.handler = fault_handler},
    {.handler = fault_handler},   {.handler = fault_handler}, {.handler = fault_handler},
    {.handler = fault_handler},   {.handler = fault_handler}, {.handler = fault_handler},
    {.handler = counter_wrapped},
};
