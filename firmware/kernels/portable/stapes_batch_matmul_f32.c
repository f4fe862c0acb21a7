/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/batch_matmul.h"

/* Columns that are summed side by side. */
enum { STAPES_LANES = 8 };

/* sums[j] = sum over k, going up, of x[k * x_step] * y[k * y_step + j]
 *
 * Unrolled, so that the sums stay in registers. */
static void stapes_dot_lanes(const float *x, int32_t x_step, const float *y, int32_t y_step,
                             int32_t depth, float *sums) {
    float lanes[STAPES_LANES] = {0.0f};
    for (int32_t k = 0; k < depth; k++) {
        const float factor = x[k * x_step];
#pragma GCC unroll 8
        for (int32_t j = 0; j < STAPES_LANES; j++) {
            lanes[j] += factor * y[k * y_step + j];
        }
    }
#pragma GCC unroll 8
    for (int32_t j = 0; j < STAPES_LANES; j++) {
        sums[j] = lanes[j];
    }
}

/*
 * output[b][r][c] = sum over k, going up, of x[b][r][k] * y[b][k][c]
 *
 * x       float, element (r, k) of a matrix at r * x_row_step + k * x_depth_step
 * y       float, element (k, c) of a matrix at c * y_column_step + k * y_depth_step
 * scratch float [depth][8]; unused where y_column_step is 1 and columns a multiple of 8
 * output  float [...][matrix_rows][columns]; a row is columns long; rows row0 ... row0 + rows - 1
 *         are written
 *
 * Products and sums round to single precision. Output and scratch overlap nothing.
 */
void stapes_batch_matmul_f32(const stapes_batch_matmul_params *params, int32_t row0, int32_t rows,
                             const float *x, const float *y, float *scratch, float *output) {
    const stapes_batch_matmul_params *p = params;
    const int32_t end = row0 + rows;

    int32_t first = row0;
    while (first < end) {
        /* Rows of one matrix. */
        const int32_t boundary = (first / p->matrix_rows + 1) * p->matrix_rows;
        const int32_t last = boundary < end ? boundary : end;
        const float *a = x + stapes_batch_start(p, first, p->x_step_0, p->x_step_1, p->x_step_2);
        const float *b = y + stapes_batch_start(p, first, p->y_step_0, p->y_step_1, p->y_step_2);
        for (int32_t c = 0; c < p->columns; c += STAPES_LANES) {
            const int32_t left = p->columns - c;
            const int32_t lanes = left < STAPES_LANES ? left : STAPES_LANES;
            const float *side = b + c * p->y_column_step;
            int32_t step = p->y_depth_step;
            if (p->y_column_step != 1 || lanes < STAPES_LANES) {
                for (int32_t k = 0; k < p->depth; k++) {
                    for (int32_t j = 0; j < STAPES_LANES; j++) {
                        scratch[k * STAPES_LANES + j] =
                            j < lanes ? side[j * p->y_column_step + k * step] : 0.0f;
                    }
                }
                side = scratch;
                step = STAPES_LANES;
            }
            for (int32_t row = first; row < last; row++) {
                float sums[STAPES_LANES];
                stapes_dot_lanes(a + row % p->matrix_rows * p->x_row_step, p->x_depth_step, side,
                                 step, p->depth, sums);
                for (int32_t j = 0; j < lanes; j++) {
                    output[row * p->columns + c + j] = sums[j];
                }
            }
        }
        first = last;
    }
}
