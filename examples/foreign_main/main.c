/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody else's firmware: its own start-up, linker script and idea of memory. It takes runtime/
 * and model/ of a generated project, and nothing else: no heap, no printf, no semihosting files.
 *
 * It runs the model once on a ramp and leaves a checksum of the output where a debugger, or the
 * test, can read it. */
#include <stdint.h>

#include "person_detect.h"

/* This product keeps the arena in a memory of its own choice. */
__attribute__((section(".fast_memory"),
               aligned(STAPES_ARENA_ALIGNMENT))) static uint8_t arena[PERSON_DETECT_ARENA_BYTES];

volatile uint32_t steps_run;
volatile uint32_t checksum;

static int feed_watchdog(void *user, int32_t step) {
    (void)user;
    (void)step;
    steps_run++;
    return 0;
}

int main(void) {
    stapes_context context = {
        .arena = {arena},
        .arena_bytes = {sizeof arena},
        .on_step = feed_watchdog,
    };
    int8_t *const input = stapes_input(&person_detect_model, &context, 0, 0);
    for (uint32_t i = 0; i < PERSON_DETECT_INPUT_0_BYTES; i++) {
        input[i] = (int8_t)((int32_t)(i % 251u) - 125);
    }
    if (stapes_run(&person_detect_model, &context, 0) != STAPES_OK) {
        return 1;
    }
    const uint8_t *const output = stapes_output(&person_detect_model, &context, 0, 0);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < PERSON_DETECT_OUTPUT_0_BYTES; i++) {
        sum = sum * 31u + output[i];
    }
    checksum = sum;
    return 0;
}
