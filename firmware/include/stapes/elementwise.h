/* SPDX-License-Identifier: Apache-2.0 */
/* Sums, differences and products of two tensors, of which either may be repeated along rows or
 * columns. */
#ifndef STAPES_ELEMENTWISE_H
#define STAPES_ELEMENTWISE_H

#include <stdint.h>

/* Element (row, column) of an input is at row * row_step + column * column_step.
 * Of sums, differences and their squares: */
typedef struct stapes_add_params {
    int32_t columns;
    int32_t input1_row_step;
    int32_t input1_column_step;
    int32_t input2_row_step;
    int32_t input2_column_step;
    int32_t input1_zero_point;
    int32_t input2_zero_point;
    int32_t input1_multiplier; /* both inputs are rescaled to a common scale, and the sum back */
    int32_t input1_shift;
    int32_t input2_multiplier;
    int32_t input2_shift;
    int32_t output_multiplier;
    int32_t output_shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} stapes_add_params;

typedef struct stapes_mul_params {
    int32_t columns;
    int32_t input1_row_step;
    int32_t input1_column_step;
    int32_t input2_row_step;
    int32_t input2_column_step;
    int32_t input1_zero_point;
    int32_t input2_zero_point;
    int32_t output_multiplier;
    int32_t output_shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} stapes_mul_params;

typedef struct stapes_elementwise_f32_params {
    int32_t columns;
    int32_t input1_row_step;
    int32_t input1_column_step;
    int32_t input2_row_step;
    int32_t input2_column_step;
    float output_min;
    float output_max;
} stapes_elementwise_f32_params;

void stapes_add_s8(const stapes_add_params *params, int32_t row0, int32_t rows,
                   const int8_t *input1, const int8_t *input2, int8_t *output);
void stapes_add_s16(const stapes_add_params *params, int32_t row0, int32_t rows,
                    const int16_t *input1, const int16_t *input2, int16_t *output);
void stapes_sub_s8(const stapes_add_params *params, int32_t row0, int32_t rows,
                   const int8_t *input1, const int8_t *input2, int8_t *output);
void stapes_sub_s16(const stapes_add_params *params, int32_t row0, int32_t rows,
                    const int16_t *input1, const int16_t *input2, int16_t *output);
void stapes_squared_difference_s8(const stapes_add_params *params, int32_t row0, int32_t rows,
                                  const int8_t *input1, const int8_t *input2, int8_t *output);
void stapes_mul_s8(const stapes_mul_params *params, int32_t row0, int32_t rows,
                   const int8_t *input1, const int8_t *input2, int8_t *output);
void stapes_mul_s16(const stapes_mul_params *params, int32_t row0, int32_t rows,
                    const int16_t *input1, const int16_t *input2, int16_t *output);
void stapes_add_f32(const stapes_elementwise_f32_params *params, int32_t row0, int32_t rows,
                    const float *input1, const float *input2, float *output);
void stapes_sub_f32(const stapes_elementwise_f32_params *params, int32_t row0, int32_t rows,
                    const float *input1, const float *input2, float *output);
void stapes_mul_f32(const stapes_elementwise_f32_params *params, int32_t row0, int32_t rows,
                    const float *input1, const float *input2, float *output);
void stapes_squared_difference_f32(const stapes_elementwise_f32_params *params, int32_t row0,
                                   int32_t rows, const float *input1, const float *input2,
                                   float *output);

#endif
