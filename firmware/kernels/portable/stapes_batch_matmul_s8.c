/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/batch_matmul.h"

#include "stapes/requantize.h"

/*
 * output[b][r][c] = clamp(zero_point + requantize(sum over k of (x[b][r][k] - x_zero_point) *
 *                   (y[b][k][c] - y_zero_point)))
 *
 * x       int8, element (r, k) of a matrix at r * x_row_step + k * x_depth_step
 * y       int8, element (k, c) of a matrix at c * y_column_step + k * y_depth_step
 * scratch int16 [depth]
 * output  int8 [...][matrix_rows][columns]; a row is columns long; rows row0 ... row0 + rows - 1
 *         are written
 *
 * 0 < depth <= 2^15. Rounds twice, as stapes_requantize. Output and scratch overlap nothing.
 */
void stapes_batch_matmul_s8(const stapes_batch_matmul_params *params, int32_t row0, int32_t rows,
                            const int8_t *x, const int8_t *y, int16_t *scratch, int8_t *output) {
    const stapes_batch_matmul_params *p = params;
    int8_t *out = output + row0 * p->columns;

    for (int32_t row = row0; row < row0 + rows; row++) {
        const int8_t *from = x + row % p->matrix_rows * p->x_row_step +
                             stapes_batch_start(p, row, p->x_step_0, p->x_step_1, p->x_step_2);
        int32_t total = 0;
        for (int32_t k = 0; k < p->depth; k++) {
            scratch[k] = (int16_t)(from[k * p->x_depth_step] - p->x_zero_point);
            total += scratch[k];
        }
        const int8_t *column =
            y + stapes_batch_start(p, row, p->y_step_0, p->y_step_1, p->y_step_2);
        for (int32_t c = 0; c < p->columns; c++) {
            int32_t sum = -p->y_zero_point * total;
            for (int32_t k = 0; k < p->depth; k++) {
                sum += scratch[k] * column[k * p->y_depth_step];
            }
            sum = stapes_requantize(sum, p->multiplier, p->shift);
            *out++ = (int8_t)stapes_offset_clamp(sum, p->output_zero_point, INT8_MIN, INT8_MAX);
            column += p->y_column_step;
        }
    }
}
