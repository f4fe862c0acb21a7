/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/elementwise.h"

#include "stapes/requantize.h"

/*
 * output[r][c] = clamp(zero_point + requantize((a - b)^2, output_multiplier, output_shift)), where
 * a = requantize((input1[r][c] - input1_zero_point) * 2^7, input1_multiplier, input1_shift)
 * and b likewise
 *
 * inputs int8, each [...][columns] or repeated along rows, columns or both (steps of 0)
 * output int8 [...][columns]; rows row0 ... row0 + rows - 1 are written; may be an input that is
 *        not repeated
 *
 * Multipliers of inputs are at most 1/2. Rounds as stapes_requantize each time.
 */
void stapes_squared_difference_s8(const stapes_add_params *params, int32_t row0, int32_t rows,
                                  const int8_t *input1, const int8_t *input2, int8_t *output) {
    const stapes_add_params *p = params;
    int8_t *out = output + row0 * p->columns;

    for (int32_t row = row0; row < row0 + rows; row++) {
        const int8_t *a = input1 + row * p->input1_row_step;
        const int8_t *b = input2 + row * p->input2_row_step;
        for (int32_t column = 0; column < p->columns; column++) {
            const int32_t x = (*a - p->input1_zero_point) * (1 << 7);
            const int32_t y = (*b - p->input2_zero_point) * (1 << 7);
            int32_t value = stapes_requantize(x, p->input1_multiplier, p->input1_shift) -
                            stapes_requantize(y, p->input2_multiplier, p->input2_shift);
            value = stapes_requantize(value * value, p->output_multiplier, p->output_shift);
            *out++ = (int8_t)stapes_offset_clamp(value, p->output_zero_point, p->output_min,
                                                 p->output_max);
            a += p->input1_column_step;
            b += p->input2_column_step;
        }
    }
}
