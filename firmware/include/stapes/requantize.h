/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed-point rescaling, bit for bit that of LiteRT's reference kernels. */
#ifndef STAPES_REQUANTIZE_H
#define STAPES_REQUANTIZE_H

#include <stdint.h>

/* x / 2^shift, rounded to nearest, halves away from zero. 0 <= shift <= 31. */
static inline int32_t stapes_shift_right(int32_t x, int32_t shift) {
    const uint32_t mask = (UINT32_C(1) << shift) - 1;
    const uint32_t rest = (uint32_t)x & mask;
    const uint32_t half = (mask >> 1) + (x < 0 ? 1U : 0U);
    return (x >> shift) + (rest > half ? 1 : 0);
}

/* a * b / 2^31, rounded to nearest, halves up. Not both INT32_MIN. */
static inline int32_t stapes_multiply_high(int32_t a, int32_t b) {
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/*
 * x * multiplier * 2^(shift - 31), rounded twice: after the product, then after the right shift.
 * 0 <= multiplier, -31 <= shift <= 30. A left shift that overflows wraps.
 */
static inline int32_t stapes_requantize(int32_t x, int32_t multiplier, int32_t shift) {
    if (shift > 0) {
        return stapes_multiply_high((int32_t)((uint32_t)x << shift), multiplier);
    }
    return stapes_shift_right(stapes_multiply_high(x, multiplier), -shift);
}

/*
 * x * multiplier * 2^(shift - 15), rounded once, halves up: for 64-bit accumulators.
 * 0 <= multiplier < 2^15, -31 <= shift <= 7, |x| < 2^47. A result beyond int32 wraps.
 */
static inline int32_t stapes_requantize_wide(int64_t x, int32_t multiplier, int32_t shift) {
    const int32_t total = 15 - shift;
    return (int32_t)((x * multiplier + (INT64_C(1) << (total - 1))) >> total);
}

/*
 * The double product x * scale rounded to an integer, halves away from zero, in integers alone.
 *
 * scale holds the bits of a positive IEEE 754 double, 2^-63 < scale < 2^19; |x * scale| < 2^31.
 * Where |x| >= 2^32 it counts as 2^32 - 1.
 */
static inline int32_t stapes_requantize_double(int64_t x, uint64_t scale) {
    const uint64_t magnitude = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    const uint32_t a = magnitude > UINT32_MAX ? UINT32_MAX : (uint32_t)magnitude;
    const uint32_t mantissa_high = ((uint32_t)(scale >> 32) & 0xFFFFFU) | 0x100000U;
    const int32_t shift = 1023 + 20 - (int32_t)(scale >> 52);

    /* a * mantissa = high * 2^32 + rest, of which y is the part above 2^(shift + 32). */
    const uint64_t low = (uint64_t)a * (uint32_t)scale;
    const uint32_t rest = (uint32_t)low;
    uint64_t high = (uint64_t)a * mantissa_high + (low >> 32);
    /* A double keeps 53 bits of the product: what is within half of the last may round up to a
     * half, which then rounds up again. */
    if (high >> 21 != 0) {
        const int32_t bits = 64 - __builtin_clzll(high);
        high += (rest + (UINT64_C(1) << (bits - 22))) >> 32;
    }
    if (shift > 63) {
        return 0;
    }
    const int32_t y = (int32_t)((high + (UINT64_C(1) << (shift - 1))) >> shift);
    return x < 0 ? -y : y;
}

static inline int32_t stapes_clamp(int32_t x, int32_t lowest, int32_t highest) {
    return x < lowest ? lowest : x > highest ? highest : x;
}

/* x + zero_point clamped to [lowest, highest], which lie in the output type; cannot overflow. */
static inline int32_t stapes_offset_clamp(int32_t x, int32_t zero_point, int32_t lowest,
                                          int32_t highest) {
    return stapes_clamp(x, lowest - zero_point, highest - zero_point) + zero_point;
}

#endif
