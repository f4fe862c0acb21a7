/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/mean.h"

#include "stapes/requantize.h"

/*
 * output[r][i] = clamp(zero_point + requantize(input_offset + sum over k of input[r][k][i]))
 *
 * input  int8 [...][count][inner]
 * output int8 [...][inner]; rows row0 ... row0 + rows - 1 are written; overlaps no input
 *
 * Sums must stay below 2^31 in magnitude. Rounds as stapes_requantize.
 */
void stapes_mean_s8(const stapes_mean_params *params, int32_t row0, int32_t rows,
                    const int8_t *input, int8_t *output) {
    const stapes_mean_params *p = params;
    const int8_t *x = input + row0 * p->count * p->inner;
    int8_t *out = output + row0 * p->inner;

    for (int32_t row = 0; row < rows; row++) {
        for (int32_t i = 0; i < p->inner; i++) {
            int32_t sum = p->input_offset;
            for (int32_t k = 0; k < p->count; k++) {
                sum += x[k * p->inner + i];
            }
            const int32_t value = stapes_requantize(sum, p->multiplier, p->shift);
            *out++ = (int8_t)stapes_offset_clamp(value, p->output_zero_point, p->output_min,
                                                 p->output_max);
        }
        x += p->count * p->inner;
    }
}
