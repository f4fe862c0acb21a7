/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products with int8 or int4 weights: the inner loops of the portable matrix kernels. Four
 * products a turn halve the cost of counting. int4 weights lie two a byte, the low bits first. */
#ifndef STAPES_DOT_H
#define STAPES_DOT_H

#include <stdint.h>

static inline int32_t stapes_dot_s8(const int8_t *x, const int8_t *weights, int32_t length) {
    int32_t sum = 0;
    int32_t i = 0;
    for (; i < length - 3; i += 4) {
        sum += x[i] * weights[i];
        sum += x[i + 1] * weights[i + 1];
        sum += x[i + 2] * weights[i + 2];
        sum += x[i + 3] * weights[i + 3];
    }
    for (; i < length; i++) {
        sum += x[i] * weights[i];
    }
    return sum;
}

/* The products' magnitudes must sum to less than 2^31. */
static inline int32_t stapes_dot_s16_narrow(const int16_t *x, const int8_t *weights,
                                            int32_t length) {
    int32_t sum = 0;
    int32_t i = 0;
    for (; i < length - 3; i += 4) {
        sum += x[i] * weights[i];
        sum += x[i + 1] * weights[i + 1];
        sum += x[i + 2] * weights[i + 2];
        sum += x[i + 3] * weights[i + 3];
    }
    for (; i < length; i++) {
        sum += x[i] * weights[i];
    }
    return sum;
}

static inline int64_t stapes_dot_s16(const int16_t *x, const int8_t *weights, int32_t length) {
    int64_t sum = 0;
#ifdef __ARM_FEATURE_DSP
    /* One instruction multiplies and adds to 64 bits. */
    int32_t i = 0;
    for (; i < length - 3; i += 4) {
        sum += x[i] * weights[i];
        sum += x[i + 1] * weights[i + 1];
        sum += x[i + 2] * weights[i + 2];
        sum += x[i + 3] * weights[i + 3];
    }
    for (; i < length; i++) {
        sum += x[i] * weights[i];
    }
#else
    /* 504 products sum to less than 2^31, and vectors hold twice as many sums of 32 bits. */
    int32_t part = 0;
    for (int32_t first = 0; first < length; first += part) {
        part = length - first < 504 ? length - first : 504;
        sum += stapes_dot_s16_narrow(x + first, weights + first, part);
    }
#endif
    return sum;
}

/* The weight in the low and in the high half of a byte. */
static inline int32_t stapes_low_w4(uint8_t pair) {
    return ((pair & 15) ^ 8) - 8;
}

static inline int32_t stapes_high_w4(uint8_t pair) {
    return ((pair >> 4) ^ 8) - 8;
}

/* The dot product with weights first ... first + length - 1. */
static inline int32_t stapes_dot_s8_w4(const int8_t *x, const uint8_t *weights, int32_t first,
                                       int32_t length) {
    const uint8_t *w = weights + (first >> 1);
    int32_t sum = 0;
    int32_t i = 0;
    if ((first & 1) != 0 && length > 0) {
        sum = x[i++] * stapes_high_w4(*w++);
    }
    for (; i < length - 1; i += 2) {
        sum += x[i] * stapes_low_w4(*w);
        sum += x[i + 1] * stapes_high_w4(*w++);
    }
    if (i < length) {
        sum += x[i] * stapes_low_w4(*w);
    }
    return sum;
}

static inline int64_t stapes_dot_s16_w4(const int16_t *x, const uint8_t *weights, int32_t first,
                                        int32_t length) {
    const uint8_t *w = weights + (first >> 1);
    int64_t sum = 0;
    int32_t i = 0;
    if ((first & 1) != 0 && length > 0) {
        sum = x[i++] * stapes_high_w4(*w++);
    }
    for (; i < length - 1; i += 2) {
        sum += x[i] * stapes_low_w4(*w);
        sum += x[i + 1] * stapes_high_w4(*w++);
    }
    if (i < length) {
        sum += x[i] * stapes_low_w4(*w);
    }
    return sum;
}

/* The sum of weights first ... first + length - 1. */
static inline int32_t stapes_sum_w4(const uint8_t *weights, int32_t first, int32_t length) {
    int32_t sum = 0;
    for (int32_t i = first; i < first + length; i++) {
        const uint8_t pair = weights[i >> 1];
        sum += (i & 1) != 0 ? stapes_high_w4(pair) : stapes_low_w4(pair);
    }
    return sum;
}

#endif
