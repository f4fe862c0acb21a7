/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/fully_connected.h"

#include "stapes/dot.h"
#include "stapes/hybrid.h"

/*
 * output[r][o] = clamp(sum of q[r][i] * weights[o][i] * s[r] * scales[o] + bias[o])
 *
 * input   float [...][input_depth], each row quantized by its own range: input[r][i] is about
 *         s[r] * q[r][i], q in -255 ... 255
 * weights int8 [output_depth][input_depth], zero point 0
 * bias    float [output_depth]
 * scratch int16 [input_depth]
 * output  float [...][output_depth]; rows row0 ... row0 + rows - 1 are written
 *
 * The sum is exact and below 2^31 in magnitude; then each operation rounds to single precision,
 * from left to right. Output and scratch overlap nothing.
 */
void stapes_fully_connected_f32_w8(const stapes_fully_connected_f32_params *params, int32_t row0,
                                   int32_t rows, const float *input, const int8_t *weights,
                                   const float *bias, int16_t *scratch, float *output) {
    const stapes_fully_connected_f32_params *p = params;
    const float *x = input + row0 * p->input_depth;
    float *out = output + row0 * p->output_depth;

    for (int32_t row = 0; row < rows; row++) {
        const float scale = stapes_quantize_row(x, p->input_depth, scratch);
        const int8_t *w = weights;
        for (int32_t o = 0; o < p->output_depth; o++) {
            const float sum = (float)stapes_dot_s16_narrow(scratch, w, p->input_depth);
            const float value = sum * scale * p->scales[o] + bias[o];
            *out++ = stapes_clamp_float(value, p->output_min, p->output_max);
            w += p->input_depth;
        }
        x += p->input_depth;
    }
}
