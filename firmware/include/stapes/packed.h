/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of weights of 2, 3 or 4 bits, and dot products with them.
 *
 * A row starts at a byte. Its values follow each other, `bits` bits each, two's complement, the low
 * bits first, so that eight of them, a group, take `bits` bytes. What is left of the last byte is
 * 0.
 *
 * `bits` is a literal where a kernel calls these functions, and so compilers make code for it
 * alone.
 */
#ifndef STAPES_PACKED_H
#define STAPES_PACKED_H

#include <stdint.h>

#include "stapes/dot.h"

/* Weights that are unpacked together, onto the stack: whole groups, and a part of any block. */
enum { STAPES_RUN = 32 };

/* The bytes that `count` values take. */
static inline int32_t stapes_packed_bytes(int32_t count, int32_t bits) {
    return (count * bits + 7) / 8;
}

/* A group, or what there is of it, from `bytes` bytes. */
static inline uint32_t stapes_packed_group(const uint8_t *packed, int32_t bytes) {
    uint32_t group = 0;
    for (int32_t i = 0; i < bytes; i++) {
        group |= (uint32_t)packed[i] << (8 * i);
    }
    return group;
}

/* Value i of a group, its sign extended. */
static inline int8_t stapes_packed_value(uint32_t group, int32_t i, int32_t bits) {
    return (int8_t)((int32_t)(group << (32 - bits * (i + 1))) >> (32 - bits));
}

/* weights[0] ... weights[count - 1] from whole bytes. */
static inline void stapes_unpack(const uint8_t *packed, int32_t count, int32_t bits,
                                 int8_t *weights) {
    int32_t i = 0;
    for (; i < count - 7; i += 8) {
        const uint32_t group = stapes_packed_group(packed, bits);
        weights[i] = stapes_packed_value(group, 0, bits);
        weights[i + 1] = stapes_packed_value(group, 1, bits);
        weights[i + 2] = stapes_packed_value(group, 2, bits);
        weights[i + 3] = stapes_packed_value(group, 3, bits);
        weights[i + 4] = stapes_packed_value(group, 4, bits);
        weights[i + 5] = stapes_packed_value(group, 5, bits);
        weights[i + 6] = stapes_packed_value(group, 6, bits);
        weights[i + 7] = stapes_packed_value(group, 7, bits);
        packed += bits;
    }
    if (i < count) {
        const uint32_t group = stapes_packed_group(packed, stapes_packed_bytes(count - i, bits));
        for (int32_t k = 0; i < count; k++) {
            weights[i++] = stapes_packed_value(group, k, bits);
        }
    }
}

static inline int32_t stapes_run_of(int32_t left) {
    return left < STAPES_RUN ? left : STAPES_RUN;
}

static inline int32_t stapes_dot_s8_packed(const int8_t *x, const uint8_t *weights, int32_t length,
                                           int32_t bits) {
    int8_t run[STAPES_RUN];
    int32_t sum = 0;
    for (int32_t i = 0; i < length; i += STAPES_RUN) {
        const int32_t count = stapes_run_of(length - i);
        stapes_unpack(weights + i / 8 * bits, count, bits, run);
        sum += stapes_dot_s8(x + i, run, count);
    }
    return sum;
}

static inline int64_t stapes_dot_s16_packed(const int16_t *x, const uint8_t *weights,
                                            int32_t length, int32_t bits) {
    int8_t run[STAPES_RUN];
    int64_t sum = 0;
    for (int32_t i = 0; i < length; i += STAPES_RUN) {
        const int32_t count = stapes_run_of(length - i);
        stapes_unpack(weights + i / 8 * bits, count, bits, run);
        sum += stapes_dot_s16(x + i, run, count);
    }
    return sum;
}

/* sums[r], for each of `rows` rows of x that lie `stride` values apart; the magnitudes of a row's
 * products must sum to less than 2^31. */
static inline void stapes_dots_s16_packed(const int16_t *x, int32_t stride, int32_t rows,
                                          const uint8_t *weights, int32_t length, int32_t bits,
                                          int32_t *sums) {
    int8_t run[STAPES_RUN];
    for (int32_t r = 0; r < rows; r++) {
        sums[r] = 0;
    }
    for (int32_t i = 0; i < length; i += STAPES_RUN) {
        const int32_t count = stapes_run_of(length - i);
        stapes_unpack(weights + i / 8 * bits, count, bits, run);
        for (int32_t r = 0; r < rows; r++) {
            sums[r] += stapes_dot_s16_narrow(x + r * stride + i, run, count);
        }
    }
}

#endif
