/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/layer_norm.h"

#include "stapes/float_math.h"

/* The sum of (x[i] - mean)^2, in stapes_sum_of_floats' order. */
static float layer_norm_spread(const float *x, int32_t count, float mean) {
    float sum = 0.0f;
    for (int32_t first = 0; first < count; first += STAPES_SUM_BLOCK) {
        const int32_t end = count - first < STAPES_SUM_BLOCK ? count : first + STAPES_SUM_BLOCK;
        float part = 0.0f;
        for (int32_t i = first; i < end; i++) {
            const float centred = x[i] - mean;
            part += centred * centred;
        }
        sum += part;
    }
    return sum;
}

/*
 * output[r][c] = (x - mean) * (1 / sqrt(variance + epsilon)) * weight[c] + bias[c], where
 * x = input[r][c], mean and variance are those of input[r]
 *
 * input  float [...][columns]
 * weight float [columns]
 * bias   float [columns], or null: nothing is added
 * output float [...][columns]; rows row0 ... row0 + rows - 1 are written; may be the input
 *
 * Sums are stapes_sum_of_floats'. Each operation rounds to single precision, from left to right;
 * the root as stapes_inverse_sqrt. 0 < columns < 2^24. Source: Ba, Kiros and Hinton 2016,
 * equation 4.
 */
void stapes_layer_norm_f32(const stapes_layer_norm_params *params, int32_t row0, int32_t rows,
                           const float *input, const float *weight, const float *bias,
                           float *output) {
    const int32_t columns = params->columns;
    const float *x = input + row0 * columns;
    float *out = output + row0 * columns;

    for (int32_t row = 0; row < rows; row++) {
        const float mean = stapes_sum_of_floats(x, columns, 1) / (float)columns;
        const float variance = layer_norm_spread(x, columns, mean) / (float)columns;
        const float factor = stapes_inverse_sqrt(variance + params->epsilon);
        for (int32_t c = 0; c < columns; c++) {
            const float scaled = (x[c] - mean) * factor * weight[c];
            out[c] = bias ? scaled + bias[c] : scaled;
        }
        x += columns;
        out += columns;
    }
}
