/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/softmax.h"

#include "stapes/requantize.h"

/* 1 / (1 + x) with 31 fraction bits, 0 <= x < 1: three Newton steps from 48/17 - 32/17 * d, where
 * d = (1 + x) / 2; y has 29 fraction bits. */
static int32_t reciprocal(int32_t x) {
    const int32_t d = (x >> 1) + (1 << 30);
    int32_t y = 1515870810 + stapes_multiply_high(d, -1010580540);
    for (int32_t step = 0; step < 3; step++) {
        const int32_t error = (1 << 29) - stapes_multiply_high(d, y);
        y += stapes_multiply_high(y, error) * 4;
    }
    return y >= 1 << 30 ? INT32_MAX : y * 2;
}

/*
 * output[r][i] = -128 + 256 * exp(scale * input[r][i]) / sum over j of exp(scale * input[r][j])
 *
 * input   int8 [...][depth], 1 <= depth <= 4095; its scale is in the table
 * output  int8 [...][depth], scale 1/256, zero point -128; rows row0 ... row0 + rows - 1 are
 *         written; may be the input
 *
 * Exponentials are summed with 19 fraction bits; products and quotients round to nearest.
 */
void stapes_softmax_s8(const stapes_softmax_s8_params *params, int32_t row0, int32_t rows,
                       const int8_t *input, int8_t *output) {
    const int32_t depth = params->depth;
    const int8_t *x = input + row0 * depth;
    int8_t *out = output + row0 * depth;

    for (int32_t row = 0; row < rows; row++) {
        int32_t largest = x[0];
        for (int32_t i = 1; i < depth; i++) {
            largest = x[i] > largest ? x[i] : largest;
        }
        int32_t sum = 0;
        for (int32_t i = 0; i < depth; i++) {
            sum += stapes_shift_right(params->exponentials[largest - x[i]], 12);
        }
        /* sum = (1 + fraction) * 2^(31 - headroom - 19) */
        const int32_t headroom = __builtin_clz((unsigned)sum);
        const int32_t fraction = (int32_t)(((uint32_t)sum << headroom) & INT32_MAX);
        const int32_t factor = reciprocal(fraction);
        const int32_t shift = 35 - headroom;
        for (int32_t i = 0; i < depth; i++) {
            const int32_t share =
                stapes_multiply_high(factor, params->exponentials[largest - x[i]]);
            /* 1/512 of the whole, and less, rounds to nothing. */
            const int32_t value = shift > 31 ? 0 : stapes_shift_right(share, shift);
            out[i] = (int8_t)stapes_clamp(value - 128, -128, 127);
        }
        x += depth;
        out += depth;
    }
}
