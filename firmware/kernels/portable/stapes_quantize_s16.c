/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/unary.h"

#include "stapes/requantize.h"

/*
 * output[r][c] = clamp(zero_point + requantize(input[r][c] - input_zero_point, multiplier, shift))
 *
 * input  int16 [...][columns]
 * output int16 [...][columns]; rows row0 ... row0 + rows - 1 are written; may be the input
 *
 * Rounds as stapes_requantize.
 */
void stapes_quantize_s16(const stapes_quantize_params *params, int32_t row0, int32_t rows,
                         const int16_t *input, int16_t *output) {
    const stapes_quantize_params *p = params;
    const int32_t last = (row0 + rows) * p->columns;

    for (int32_t i = row0 * p->columns; i < last; i++) {
        const int32_t value =
            stapes_requantize(input[i] - p->input_zero_point, p->multiplier, p->shift);
        output[i] =
            (int16_t)stapes_offset_clamp(value, p->output_zero_point, p->output_min, p->output_max);
    }
}
