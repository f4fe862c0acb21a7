/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products with int8 weights: the inner loops of the portable matrix kernels. */
#ifndef STAPES_DOT_H
#define STAPES_DOT_H

#include <stdint.h>

static inline int32_t stapes_dot_s8(const int8_t *x, const int8_t *weights, int32_t length) {
    int32_t sum = 0;
    for (int32_t i = 0; i < length; i++) {
        sum += x[i] * weights[i];
    }
    return sum;
}

static inline int64_t stapes_dot_s16(const int16_t *x, const int8_t *weights, int32_t length) {
    int64_t sum = 0;
    for (int32_t i = 0; i < length; i++) {
        sum += x[i] * weights[i];
    }
    return sum;
}
#endif
