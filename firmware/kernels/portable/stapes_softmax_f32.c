/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/softmax.h"

#include "stapes/float_math.h"

/*
 * output[r][d] = exp(beta * (input[r][d] - m)) / (sum over e of exp(beta * (input[r][e] - m))),
 * m = max over e of input[r][e]
 *
 * input  float [...][depth]
 * output float [...][depth]; rows row0 ... row0 + rows - 1 are written; may be the input
 *
 * The sum goes up in e. Each operation rounds to single precision, exponentials as stapes_exp; the
 * quotient is a product with 1 / sum.
 */
void stapes_softmax_f32(const stapes_softmax_f32_params *params, int32_t row0, int32_t rows,
                        const float *input, float *output) {
    const int32_t depth = params->depth;
    const float *x = input + row0 * depth;
    float *out = output + row0 * depth;

    for (int32_t row = 0; row < rows; row++) {
        float largest = x[0];
        for (int32_t i = 1; i < depth; i++) {
            largest = x[i] > largest ? x[i] : largest;
        }
        float sum = 0.0f;
        for (int32_t i = 0; i < depth; i++) {
            out[i] = stapes_exp(params->beta * (x[i] - largest));
            sum += out[i];
        }
        const float factor = 1.0f / sum;
        for (int32_t i = 0; i < depth; i++) {
            out[i] *= factor;
        }
        x += depth;
        out += depth;
    }
}
