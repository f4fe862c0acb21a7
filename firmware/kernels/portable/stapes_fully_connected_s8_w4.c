/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/fully_connected.h"

#include "stapes/dot.h"
#include "stapes/requantize.h"

/*
 * output[r][o] = clamp(zero_point + round(scales[o] * (bias[o] + sum of input[r][i] *
 * weights[o][i])))
 *
 * input   int8 [...][input_depth]
 * weights int4 [output_depth][input_depth], zero point 0, two a byte, the low bits first
 * bias    int32 [output_depth], less the input's zero point * the sum of the row of weights
 * output  int8 [...][output_depth]; rows row0 ... row0 + rows - 1 are written
 *
 * Bias and products must sum to less than 2^31 in magnitude.
 * Rounds as a double product does, halves away from zero. Output overlaps no input.
 */
void stapes_fully_connected_s8_w4(const stapes_fully_connected_params *params, int32_t row0,
                                  int32_t rows, const int8_t *input, const uint8_t *weights,
                                  const int32_t *bias, int8_t *output) {
    const stapes_fully_connected_params *p = params;
    const int8_t *x = input + row0 * p->input_depth;
    int8_t *out = output + row0 * p->output_depth;

    for (int32_t row = 0; row < rows; row++) {
        int32_t first = 0;
        for (int32_t o = 0; o < p->output_depth; o++) {
            int32_t sum = bias[o] + stapes_dot_s8_w4(x, weights, first, p->input_depth);
            sum = stapes_requantize_double(sum, p->scales[o]);
            *out++ = (int8_t)stapes_offset_clamp(sum, p->output_zero_point, p->output_min,
                                                 p->output_max);
            first += p->input_depth;
        }
        x += p->input_depth;
    }
}
