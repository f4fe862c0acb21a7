/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/fully_connected.h"

#include "stapes/dot.h"
#include "stapes/requantize.h"

/*
 * output[r][o] = clamp(round(scales[o] * (bias[o] + sum of input[r][i] * weights[o][i])))
 *
 * input   int16 [...][input_depth], zero point 0
 * weights int4 [output_depth][input_depth], zero point 0, two a byte, the low bits first
 * bias    int64 [output_depth]
 * output  int16 [...][output_depth], zero point 0; rows row0 ... row0 + rows - 1 are written
 *
 * Bias and products must sum to less than 2^47 in magnitude, and to less than 2^32 where scales[o]
 * < 2^-16. Rounds as a double product does, halves away from zero. Output overlaps no input.
 */
void stapes_fully_connected_s16_w4(const stapes_fully_connected_params *params, int32_t row0,
                                   int32_t rows, const int16_t *input, const uint8_t *weights,
                                   const int64_t *bias, int16_t *output) {
    const stapes_fully_connected_params *p = params;
    const int16_t *x = input + row0 * p->input_depth;
    int16_t *out = output + row0 * p->output_depth;

    for (int32_t row = 0; row < rows; row++) {
        int32_t first = 0;
        for (int32_t o = 0; o < p->output_depth; o++) {
            const int64_t sum = bias[o] + stapes_dot_s16_w4(x, weights, first, p->input_depth);
            *out++ = (int16_t)stapes_clamp(stapes_requantize_double(sum, p->scales[o]),
                                           p->output_min, p->output_max);
            first += p->input_depth;
        }
        x += p->input_depth;
    }
}
