/* SPDX-License-Identifier: Apache-2.0 */
/* Products of two stacks of matrices, both of them activations. */
#ifndef STAPES_BATCH_MATMUL_H
#define STAPES_BATCH_MATMUL_H

#include <stdint.h>

/* Steps count elements; a step of 0 repeats. What follows the steps is for integers. */
typedef struct stapes_batch_matmul_params {
    int32_t depth;       /* products a sum */
    int32_t columns;     /* of an output matrix */
    int32_t matrix_rows; /* of an output matrix */
    int32_t batch_1;     /* the stack's dimensions but the first */
    int32_t batch_2;
    int32_t x_step_0; /* between matrices, along each of the stack's dimensions */
    int32_t x_step_1;
    int32_t x_step_2;
    int32_t x_row_step;
    int32_t x_depth_step;
    int32_t y_step_0;
    int32_t y_step_1;
    int32_t y_step_2;
    int32_t y_column_step;
    int32_t y_depth_step;
    int32_t x_zero_point;
    int32_t y_zero_point;
    int32_t multiplier;
    int32_t shift;
    int32_t output_zero_point;
} stapes_batch_matmul_params;

void stapes_batch_matmul_s8(const stapes_batch_matmul_params *params, int32_t row0, int32_t rows,
                            const int8_t *x, const int8_t *y, int16_t *scratch, int8_t *output);
void stapes_batch_matmul_s16(const stapes_batch_matmul_params *params, int32_t row0, int32_t rows,
                             const int16_t *x, const int16_t *y, int16_t *scratch, int16_t *output);
void stapes_batch_matmul_f32(const stapes_batch_matmul_params *params, int32_t row0, int32_t rows,
                             const float *x, const float *y, float *scratch, float *output);

/* Where the matrices that belong to output row `row` start in an operand. */
static inline int32_t stapes_batch_start(const stapes_batch_matmul_params *p, int32_t row,
                                         int32_t step_0, int32_t step_1, int32_t step_2) {
    const int32_t batch = row / p->matrix_rows;
    return batch / p->batch_2 / p->batch_1 * step_0 + batch / p->batch_2 % p->batch_1 * step_1 +
           batch % p->batch_2 * step_2;
}

#endif
