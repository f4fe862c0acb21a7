/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/fully_connected.h"

#include <stddef.h>

#include "stapes/dot.h"
#include "stapes/hybrid.h"

/* The sum over a row's blocks of (sum of products of a block) * (scale of the block); weights are
 * taken from `unpacked` unless that is NULL. */
static float stapes_dot_of_blocks(const stapes_fully_connected_blocks_params *p, const int16_t *x,
                                  const uint8_t *weights, const int8_t *unpacked,
                                  const uint16_t *scales) {
    float total = 0.0f;
    for (int32_t first = 0; first < p->input_depth; first += p->block_size) {
        const int32_t sum =
            unpacked != NULL
                ? stapes_dot_s16_narrow(x + first, unpacked + first, p->block_size)
                : stapes_dot_s16_w4_narrow(x + first, weights + first / 2, p->block_size / 2);
        total += (float)sum * stapes_float_of((uint32_t)*scales++ << 16);
    }
    return total;
}

/*
 * output[r][o] = clamp(sum over blocks b of (sum over i of b of q[r][i] * weights[o][i]) *
 *                scales[o][b]) * s[r] + bias[o])
 *
 * input   float [...][input_depth], each row quantized by its own range: input[r][i] is about
 *         s[r] * q[r][i], q in -255 ... 255
 * weights int4 [output_depth][input_depth], zero point 0, two a byte, the low bits first
 * bias    float [output_depth]
 * scratch int16 [STAPES_HYBRID_ROWS][input_depth], then int8 [input_depth]; of fewer
 *         rows, int16 [rows][input_depth]
 * output  float [...][output_depth]; rows row0 ... row0 + rows - 1 are written
 *
 * block_size is a multiple of 32 and divides input_depth. A block's sum is exact; then each
 * operation rounds to single precision, blocks in their order. Output and scratch overlap nothing.
 */
void stapes_fully_connected_f32_w4_blocks(const stapes_fully_connected_blocks_params *params,
                                          int32_t row0, int32_t rows, const float *input,
                                          const uint8_t *weights, const float *bias,
                                          int16_t *scratch, float *output) {
    const stapes_fully_connected_blocks_params *p = params;
    const int32_t depth = p->input_depth;

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
        const uint16_t *block_scales = p->scales;
        for (int32_t o = 0; o < p->output_depth; o++) {
            if (unpacked != NULL) {
                stapes_unpack_w4(w, depth / 2, unpacked);
            }
            for (int32_t r = 0; r < count; r++) {
                const float sum =
                    stapes_dot_of_blocks(p, scratch + r * depth, w, unpacked, block_scales);
                const float value = sum * scales[r] + bias[o];
                output[(first + r) * p->output_depth + o] =
                    stapes_clamp_float(value, p->output_min, p->output_max);
            }
            w += depth / 2;
            block_scales += depth / p->block_size;
        }
    }
}
