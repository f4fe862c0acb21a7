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
/* Rows of input from which on unpacked weights pay. */
enum { STAPES_SHARING = 4 };

/* The bytes that `count` values take. */
static inline int32_t stapes_packed_bytes(int32_t count, int32_t bits) {
    return (count * bits + 7) / 8;
}

/* The group that starts at `packed`. */
static inline uint32_t stapes_packed_group(const uint8_t *packed, int32_t bits) {
    const uint32_t two = packed[0] | (uint32_t)packed[1] << 8;
    const uint32_t three = bits > 2 ? two | (uint32_t)packed[2] << 16 : two;
    return bits > 3 ? three | (uint32_t)packed[3] << 24 : three;
}

/* What a row ends with: fewer than eight values, and so fewer bytes. */
static inline uint32_t stapes_packed_rest(const uint8_t *packed, int32_t count, int32_t bits) {
    const int32_t bytes = stapes_packed_bytes(count, bits);
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
        const uint32_t group = stapes_packed_rest(packed, count - i, bits);
        for (int32_t k = 0; i < count; k++) {
            weights[i++] = stapes_packed_value(group, k, bits);
        }
    }
}

/* The sum of a group's products. */
static inline int32_t stapes_dot_s8_group(const int8_t *x, uint32_t group, int32_t bits) {
    return x[0] * stapes_packed_value(group, 0, bits) + x[1] * stapes_packed_value(group, 1, bits) +
           x[2] * stapes_packed_value(group, 2, bits) + x[3] * stapes_packed_value(group, 3, bits) +
           x[4] * stapes_packed_value(group, 4, bits) + x[5] * stapes_packed_value(group, 5, bits) +
           x[6] * stapes_packed_value(group, 6, bits) + x[7] * stapes_packed_value(group, 7, bits);
}

static inline int32_t stapes_dot_s8_packed(const int8_t *x, const uint8_t *weights, int32_t length,
                                           int32_t bits) {
    int32_t sum = 0;
    int32_t i = 0;
    for (; i < length - 7; i += 8) {
        sum += stapes_dot_s8_group(x + i, stapes_packed_group(weights, bits), bits);
        weights += bits;
    }
    if (i < length) {
        const uint32_t group = stapes_packed_rest(weights, length - i, bits);
        for (int32_t k = 0; i < length; k++) {
            sum += x[i++] * stapes_packed_value(group, k, bits);
        }
    }
    return sum;
}

/* The sum of a group's products. */
static inline int32_t stapes_dot_s16_group(const int16_t *x, uint32_t group, int32_t bits) {
    return x[0] * stapes_packed_value(group, 0, bits) + x[1] * stapes_packed_value(group, 1, bits) +
           x[2] * stapes_packed_value(group, 2, bits) + x[3] * stapes_packed_value(group, 3, bits) +
           x[4] * stapes_packed_value(group, 4, bits) + x[5] * stapes_packed_value(group, 5, bits) +
           x[6] * stapes_packed_value(group, 6, bits) + x[7] * stapes_packed_value(group, 7, bits);
}

static inline int64_t stapes_dot_s16_packed(const int16_t *x, const uint8_t *weights,
                                            int32_t length, int32_t bits) {
    int64_t sum = 0;
    int32_t i = 0;
    for (; i < length - 7; i += 8) {
        sum += stapes_dot_s16_group(x + i, stapes_packed_group(weights, bits), bits);
        weights += bits;
    }
    if (i < length) {
        const uint32_t group = stapes_packed_rest(weights, length - i, bits);
        for (int32_t k = 0; i < length; k++) {
            sum += x[i++] * stapes_packed_value(group, k, bits);
        }
    }
    return sum;
}

/*
 * sums[r], for each of `rows` rows of x that lie `stride` values apart; the magnitudes of a row's
 * products must sum to less than 2^31. Many rows share what is unpacked.
 */
static inline void stapes_dots_s16_packed(const int16_t *x, int32_t stride, int32_t rows,
                                          const uint8_t *weights, int32_t length, int32_t bits,
                                          int32_t *sums) {
    const int32_t shared = rows < STAPES_SHARING ? 0 : length;
    for (int32_t r = 0; r < rows; r++) {
        const int16_t *row = x + r * stride;
        sums[r] = shared > 0 ? 0 : (int32_t)stapes_dot_s16_packed(row, weights, length, bits);
    }
    for (int32_t i = 0; i < shared; i += STAPES_RUN) {
        const int32_t count = length - i < STAPES_RUN ? length - i : STAPES_RUN;
        int8_t run[STAPES_RUN];
        stapes_unpack(weights + i / 8 * bits, count, bits, run);
        for (int32_t r = 0; r < rows; r++) {
            sums[r] += stapes_dot_s16_narrow(x + r * stride + i, run, count);
        }
    }
}

#endif
