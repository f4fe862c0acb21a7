/* SPDX-License-Identifier: Apache-2.0 */
#include "counter.h"

#include "board.h"
#include "board_config.h"

#define SYSTICK ((volatile uint32_t *)0xE000E010u)
#define RELOAD 0x00FFFFFFu

enum { CONTROL, LOAD, CURRENT };
enum { ENABLE = 1u, INTERRUPT = 2u, CORE_CLOCK = 4u };

static volatile uint32_t wraps;

void counter_wrapped(void) {
    wraps++;
}

void counter_start(void) {
    SYSTICK[LOAD] = RELOAD;
    SYSTICK[CURRENT] = 0;
    SYSTICK[CONTROL] = ENABLE | INTERRUPT | CORE_CLOCK;
}

uint64_t board_instructions(void) {
    uint32_t before;
    uint32_t current;
    do {
        before = wraps;
        current = SYSTICK[CURRENT];
    } while (before != wraps);
    const uint64_t ticks = ((uint64_t)before << 24) + (RELOAD - current);
    return (ticks * BOARD_INSTRUCTIONS_PER_TICK_NUMERATOR) >> BOARD_INSTRUCTIONS_PER_TICK_SHIFT;
}
