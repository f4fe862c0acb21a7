/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/elementwise.h"

#include "stapes/requantize.h"

/*
 * output[r][c] = clamp(zero_point + requantize((input1[r][c] - input1_zero_point) *
 *                (input2[r][c] - input2_zero_point), output_multiplier, output_shift))
 *
 * inputs int16, each [...][columns] or repeated along rows, columns or both (steps of 0)
 * output int16 [...][columns]; rows row0 ... row0 + rows - 1 are written; may be an input that is
 *        not repeated
 *
 * Rounds as stapes_requantize.
 */
void stapes_mul_s16(const stapes_mul_params *params, int32_t row0, int32_t rows,
                    const int16_t *input1, const int16_t *input2, int16_t *output) {
    const stapes_mul_params *p = params;
    int16_t *out = output + row0 * p->columns;

    for (int32_t row = row0; row < row0 + rows; row++) {
        const int16_t *a = input1 + row * p->input1_row_step;
        const int16_t *b = input2 + row * p->input2_row_step;
        for (int32_t column = 0; column < p->columns; column++) {
            const int32_t product = (*a - p->input1_zero_point) * (*b - p->input2_zero_point);
            const int32_t value = stapes_requantize(product, p->output_multiplier, p->output_shift);
            *out++ = (int16_t)stapes_offset_clamp(value, p->output_zero_point, p->output_min,
                                                  p->output_max);
            a += p->input1_column_step;
            b += p->input2_column_step;
        }
    }
}
