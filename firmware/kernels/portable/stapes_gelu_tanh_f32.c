/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/float_math.h"
#include "stapes/unary.h"

/*
 * output[r][c] = x * (1 + tanh(y)) / 2 = x / (1 + exp(-2 y)), where x = input[r][c] and
 * y = sqrt(2 / pi) * (x + 0.044715 x^3)
 *
 * input  float [...][columns]
 * output float [...][columns]; rows row0 ... row0 + rows - 1 are written; may be the input
 *
 * Each operation rounds to single precision; the quotient as stapes_logistic.
 */
void stapes_gelu_tanh_f32(const stapes_unary_f32_params *params, int32_t row0, int32_t rows,
                          const float *input, float *output) {
    const int32_t last = (row0 + rows) * params->columns;

    for (int32_t i = row0 * params->columns; i < last; i++) {
        const float x = input[i];
        const float twice = 1.5957692f * (x + 0.044715f * (x * x * x));
        output[i] = x * stapes_logistic(twice);
    }
}
