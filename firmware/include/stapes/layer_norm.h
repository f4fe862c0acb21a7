/* SPDX-License-Identifier: Apache-2.0 */
/* Layer normalization over the last dimension. */
#ifndef STAPES_LAYER_NORM_H
#define STAPES_LAYER_NORM_H

#include <stdint.h>

typedef struct stapes_layer_norm_params {
    int32_t columns;
    int32_t together; /* squares in a partial sum */
    float divisor;    /* of the sum of squares: columns for the variance */
    float epsilon;    /* added to what that gives */
} stapes_layer_norm_params;

void stapes_layer_norm_f32(const stapes_layer_norm_params *params, int32_t row0, int32_t rows,
                           const float *input, const float *weight, const float *bias,
                           float *output);

#endif
