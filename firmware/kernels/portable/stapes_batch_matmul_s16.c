/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/batch_matmul.h"

#include "stapes/requantize.h"

/*
 * output[b][r][c] = clamp(requantize(sum over k of x[b][r][k] * y[b][k][c]))
 *
 * x       int16, zero point 0, element (r, k) of a matrix at r * x_row_step + k * x_depth_step
 * y       int16, zero point 0, element (k, c) of a matrix at c * y_column_step + k * y_depth_step
 * scratch int16 [depth]
 * output  int16 [...][matrix_rows][columns], zero point 0; a row is columns long; rows row0 ...
 *         row0 + rows - 1 are written
 *
 * 0 < depth <= 2^15. The multiplier has 15 bits; rounds once, as stapes_requantize_wide. Output
 * and scratch overlap nothing.
 */
void stapes_batch_matmul_s16(const stapes_batch_matmul_params *params, int32_t row0, int32_t rows,
                             const int16_t *x, const int16_t *y, int16_t *scratch,
                             int16_t *output) {
    const stapes_batch_matmul_params *p = params;
    int16_t *out = output + row0 * p->columns;

    for (int32_t row = row0; row < row0 + rows; row++) {
        const int16_t *from = x + row % p->matrix_rows * p->x_row_step +
                              stapes_batch_start(p, row, p->x_step_0, p->x_step_1, p->x_step_2);
        for (int32_t k = 0; k < p->depth; k++) {
            scratch[k] = from[k * p->x_depth_step];
        }
        const int16_t *column =
            y + stapes_batch_start(p, row, p->y_step_0, p->y_step_1, p->y_step_2);
        for (int32_t c = 0; c < p->columns; c++) {
            int64_t sum = 0;
            for (int32_t k = 0; k < p->depth; k++) {
                sum += scratch[k] * column[k * p->y_depth_step];
            }
            *out++ = (int16_t)stapes_clamp(stapes_requantize_wide(sum, p->multiplier, p->shift),
                                           INT16_MIN, INT16_MAX);
            column += p->y_column_step;
        }
    }
}
