/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/layer_norm.h"

#include "stapes/float_math.h"

/* The sum of (x[i] - mean)^2, going up: `together` values make a partial sum, partial sums the
 * whole. */
static float layer_norm_spread(const float *x, int32_t count, float mean, int32_t together) {
    float sum = 0.0f;
    for (int32_t first = 0; first < count; first += together) {
        const int32_t end = count - first < together ? count : first + together;
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
 * output[r][c] = (x - mean) * (1 / sqrt(spread / divisor + epsilon)) * weight[c] + bias[c], where
 * x = input[r][c], mean is that of input[r], and spread the sum of its (x - mean)^2
 *
 * input  float [...][columns]
 * weight float [columns], or null: nothing is multiplied
 * bias   float [columns], or null: nothing is added
 * output float [...][columns]; rows row0 ... row0 + rows - 1 are written; may be the input
 *
 * The mean's sum is stapes_sum_of_floats'. Each operation rounds to single precision, from left to
 * right; the root as stapes_inverse_sqrt. 0 < columns < 2^24, together > 0. Source: Ba, Kiros and
 * Hinton 2016, equation 4.
 */
void stapes_layer_norm_f32(const stapes_layer_norm_params *params, int32_t row0, int32_t rows,
                           const float *input, const float *weight, const float *bias,
                           float *output) {
    const int32_t columns = params->columns;
    const float *x = input + row0 * columns;
    float *out = output + row0 * columns;

    for (int32_t row = 0; row < rows; row++) {
        const float mean = stapes_sum_of_floats(x, columns, 1) / (float)columns;
        const float spread = layer_norm_spread(x, columns, mean, params->together);
        const float factor = stapes_inverse_sqrt(spread / params->divisor + params->epsilon);
        for (int32_t c = 0; c < columns; c++) {
            const float unit = (x[c] - mean) * factor;
            const float scaled = weight ? unit * weight[c] : unit;
            out[c] = bias ? scaled + bias[c] : scaled;
        }
        x += columns;
        out += columns;
    }
}
