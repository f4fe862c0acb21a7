/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/fully_connected.h"

#include <stddef.h>

#include "stapes/dot.h"
#include "stapes/hybrid.h"

/*
 * output[r][o] = clamp(sum of q[r][i] * weights[o][i] * s[r] * scales[o] + bias[o])
 *
 * input   float [...][input_depth], each row quantized by its own range: input[r][i] is about
 *         s[r] * q[r][i], q in -255 ... 255
 * weights int4 [output_depth][input_depth], zero point 0, two a byte, the low bits first
 * bias    float [output_depth]
 * scratch int16 [STAPES_HYBRID_ROWS][input_depth], then int8 [input_depth]; of fewer
 *         rows, int16 [rows][input_depth]
 * output  float [...][output_depth]; rows row0 ... row0 + rows - 1 are written
 *
 * input_depth is even. The sum is exact and below 2^31 in magnitude; then each operation rounds to
 * single precision, from left to right. Output and scratch overlap nothing.
 */
void stapes_fully_connected_f32_w4(const stapes_fully_connected_f32_params *params, int32_t row0,
                                   int32_t rows, const float *input, const uint8_t *weights,
                                   const float *bias, int16_t *scratch, float *output) {
    const stapes_fully_connected_f32_params *p = params;
    const int32_t depth = p->input_depth;
    const int32_t pairs = depth / 2;

    for (int32_t first = row0; first < row0 + rows; first += STAPES_HYBRID_ROWS) {
        const int32_t left = row0 + rows - first;
        const int32_t count = left < STAPES_HYBRID_ROWS ? left : STAPES_HYBRID_ROWS;
        int8_t *unpacked = count == STAPES_HYBRID_ROWS ? (int8_t *)(scratch + count * depth) : NULL;
        float scales[STAPES_HYBRID_ROWS];
        for (int32_t r = 0; r < count; r++) {
            scales[r] =
                stapes_quantize_row(input + (first + r) * depth, depth, scratch + r * depth);
        }
        const uint8_t *w = weights;
        for (int32_t o = 0; o < p->output_depth; o++) {
            if (unpacked != NULL) {
                stapes_unpack_w4(w, pairs, unpacked);
            }
            for (int32_t r = 0; r < count; r++) {
                const int16_t *x = scratch + r * depth;
                const int32_t sum = unpacked != NULL ? stapes_dot_s16_narrow(x, unpacked, depth)
                                                     : stapes_dot_s16_w4_narrow(x, w, pairs);
                const float value = (float)sum * scales[r] * p->scales[o] + bias[o];
                output[(first + r) * p->output_depth + o] =
                    stapes_clamp_float(value, p->output_min, p->output_max);
            }
            w += pairs;
        }
    }
}
