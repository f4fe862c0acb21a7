/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/layout.h"

/*
 * output[i][j][k][l] = input[i * step_0 + j * step_1 + k * step_2 + l * step_3]
 *
 * input  float
 * output float [...][output_1][output_2][output_3]; a row is output_3 long; rows row0 ... row0 +
 * rows - 1 are written; overlaps no input
 */
void stapes_transpose_f32(const stapes_transpose_params *params, int32_t row0, int32_t rows,
                          const float *input, float *output) {
    const stapes_transpose_params *p = params;
    float *out = output + row0 * p->output_3;

    for (int32_t row = row0; row < row0 + rows; row++) {
        const float *from = input + row % p->output_2 * p->step_2 +
                            row / p->output_2 % p->output_1 * p->step_1 +
                            row / p->output_2 / p->output_1 * p->step_0;
        for (int32_t l = 0; l < p->output_3; l++) {
            *out++ = from[l * p->step_3];
        }
    }
}
