/* SPDX-License-Identifier: Apache-2.0 */
/* Dot products with int8 weights: the inner loops of the portable matrix kernels. Four products a
 * turn halve the cost of counting. */
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

static inline int64_t stapes_dot_s16(const int16_t *x, const int8_t *weights, int32_t length) {
    int64_t sum = 0;
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
#endif
