/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/elementwise.h"

#include "stapes/float_math.h"

/*
 * output[r][c] = clamp(input1[r][c] * input2[r][c], output_min, output_max)
 *
 * inputs float, each [...][columns] or repeated along rows, columns or both (steps of 0)
 * output float [...][columns]; rows row0 ... row0 + rows - 1 are written; may be an input that is
 *        not repeated
 *
 * Each operation rounds to single precision.
 */
void stapes_mul_f32(const stapes_elementwise_f32_params *params, int32_t row0, int32_t rows,
                    const float *input1, const float *input2, float *output) {
    const stapes_elementwise_f32_params *p = params;
    float *out = output + row0 * p->columns;

    for (int32_t row = row0; row < row0 + rows; row++) {
        const float *a = input1 + row * p->input1_row_step;
        const float *b = input2 + row * p->input2_row_step;
        for (int32_t column = 0; column < p->columns; column++) {
            *out++ = stapes_clamp_float(*a * *b, p->output_min, p->output_max);
            a += p->input1_column_step;
            b += p->input2_column_step;
        }
    }
}
