/* SPDX-License-Identifier: Apache-2.0 */
/* Mean over neighbouring dimensions. */
#ifndef STAPES_MEAN_H
#define STAPES_MEAN_H

#include <stdint.h>

/* The input is [rows][count][inner], the output [rows][inner]. */
typedef struct stapes_mean_params {
    int32_t count;
    int32_t inner;
    int32_t input_offset; /* added to each sum: -count * the input's zero point */
    int32_t multiplier;   /* of a sum: includes 1 / count */
    int32_t shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} stapes_mean_params;

typedef struct stapes_mean_f32_params {
    int32_t count;
    int32_t inner;
} stapes_mean_f32_params;

void stapes_mean_s8(const stapes_mean_params *params, int32_t row0, int32_t rows,
                    const int8_t *input, int8_t *output);
void stapes_mean_s16(const stapes_mean_params *params, int32_t row0, int32_t rows,
                     const int16_t *input, int16_t *output);
void stapes_mean_f32(const stapes_mean_f32_params *params, int32_t row0, int32_t rows,
                     const float *input, float *output);

#endif
