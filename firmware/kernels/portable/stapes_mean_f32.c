/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/mean.h"

#include "stapes/float_math.h"

/*
 * output[r][i] = (sum over k of input[r][k][i]) / count
 *
 * input  float [...][count][inner]
 * output float [...][inner]; rows row0 ... row0 + rows - 1 are written; overlaps no input
 *
 * Sums are stapes_sum_of_floats'; the quotient rounds to single precision. 0 < count < 2^24.
 */
void stapes_mean_f32(const stapes_mean_f32_params *params, int32_t row0, int32_t rows,
                     const float *input, float *output) {
    const int32_t count = params->count;
    const int32_t inner = params->inner;
    const float *x = input + row0 * count * inner;
    float *out = output + row0 * inner;

    for (int32_t row = 0; row < rows; row++) {
        for (int32_t i = 0; i < inner; i++) {
            *out++ = stapes_sum_of_floats(x + i, count, inner) / (float)count;
        }
        x += count * inner;
    }
}
