/* SPDX-License-Identifier: Apache-2.0 */
/* What generated sources use: where data lies, and the hook between steps. */
#ifndef STAPES_GENERATED_H
#define STAPES_GENERATED_H

#include "stapes/stapes.h"

/* A linker script that knows nothing of stapes keeps weights with .rodata and arenas with .bss.
 * Define these, or name the sections in the linker script, to place them elsewhere. */
#ifndef STAPES_WEIGHTS_SECTION
#ifdef __ELF__
#define STAPES_WEIGHTS_SECTION __attribute__((section(".rodata.stapes_weights")))
#else
#define STAPES_WEIGHTS_SECTION
#endif
#endif

#ifndef STAPES_ARENA_SECTION
#ifdef __ELF__
#define STAPES_ARENA_SECTION __attribute__((section(".bss.stapes_arena")))
#else
#define STAPES_ARENA_SECTION
#endif
#endif

/* The same for a target that has several memories to choose from; `region` is a string. */
#ifndef STAPES_WEIGHTS_IN
#ifdef __ELF__
#define STAPES_WEIGHTS_IN(region) __attribute__((section(".rodata.stapes_weights." region)))
#else
#define STAPES_WEIGHTS_IN(region)
#endif
#endif

#ifndef STAPES_ARENA_IN
#ifdef __ELF__
#define STAPES_ARENA_IN(region) __attribute__((section(".bss.stapes_arena." region)))
#else
#define STAPES_ARENA_IN(region)
#endif
#endif

/* The array at `offset` of the bound weights. */
static inline const void *stapes_bound(const stapes_context *context, uint32_t offset) {
    return context->weights + offset;
}

/* Call the context's hook after step `step`; true when the run must stop. */
static inline int stapes_stopped(const stapes_context *context, int32_t step) {
    return context->on_step != NULL && context->on_step(context->user, step) != 0;
}

/* Rows of the stripe that starts at `row`: at most `most`, to the next multiple of `block`. */
static inline int32_t stapes_stripe(int32_t row, int32_t most, int32_t block) {
    const int32_t left = block - row % block;
    return left < most ? left : most;
}

/* Rows of a step in a stripe. */
typedef struct stapes_lines {
    int32_t first;
    int32_t count;
} stapes_lines;

static inline int32_t stapes_at_least_0(int32_t value) {
    return value < 0 ? 0 : value;
}

/* Of `count` rows from `first` on those that are among `all`. */
static inline stapes_lines stapes_inside(int32_t first, int32_t count, int32_t all) {
    const int32_t end = first + count < all ? first + count : all;
    stapes_lines lines = {stapes_at_least_0(first), 0};
    lines.count = stapes_at_least_0(end - lines.first);
    return lines;
}

#endif
