/* SPDX-License-Identifier: Apache-2.0 */
/* int16 functions made from one table of the logistic function. */
#ifndef STAPES_SIGMOID_H
#define STAPES_SIGMOID_H

#include <stdint.h>

typedef struct stapes_sigmoid_params {
    int32_t columns;
    int32_t multiplier;    /* of an input, to 2^-12 / 3 a step; at most 65535 */
    int32_t shift;         /* 0 ... 31 */
    const uint16_t *table; /* [256], 1 / (1 + exp(-i / 24)) with 16 fraction bits */
} stapes_sigmoid_params;

void stapes_logistic_s16(const stapes_sigmoid_params *params, int32_t row0, int32_t rows,
                         const int16_t *input, int16_t *output);
void stapes_tanh_s16(const stapes_sigmoid_params *params, int32_t row0, int32_t rows,
                     const int16_t *input, int16_t *output);

/* x * multiplier / 2^shift, halves up. */
static inline int32_t stapes_sigmoid_input(const stapes_sigmoid_params *p, int32_t x) {
    const int32_t half = p->shift > 0 ? INT32_C(1) << (p->shift - 1) : 0;
    return (x * p->multiplier + half) >> p->shift;
}

/* The table at magnitude / 2^bits, linear between values, with 16 + bits fraction bits. */
static inline int32_t stapes_sigmoid(const uint16_t *table, int32_t magnitude, int32_t bits) {
    const uint16_t *at = table + (magnitude >> bits);
    const int32_t rest = magnitude & ((INT32_C(1) << bits) - 1);
    return at[0] * (INT32_C(1) << bits) + rest * (at[1] - at[0]);
}

#endif
