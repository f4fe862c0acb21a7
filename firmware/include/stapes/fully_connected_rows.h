/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products with packed weights: what the kernels of one type but different widths share.
 * Arguments are the kernels', and `bits`, the width. */
#ifndef STAPES_FULLY_CONNECTED_ROWS_H
#define STAPES_FULLY_CONNECTED_ROWS_H

#include <stdint.h>

#include "stapes/fully_connected.h"
#include "stapes/hybrid.h"
#include "stapes/packed.h"
#include "stapes/requantize.h"

static inline void stapes_fully_connected_s8_rows(const stapes_fully_connected_params *p,
                                                  int32_t row0, int32_t rows, const int8_t *input,
                                                  const uint8_t *weights, const int32_t *bias,
                                                  int32_t bits, int8_t *output) {
    const int32_t row_bytes = stapes_packed_bytes(p->input_depth, bits);
    for (int32_t r = row0; r < row0 + rows; r++) {
        const int8_t *x = input + r * p->input_depth;
        int8_t *out = output + r * p->output_depth;
        const uint8_t *w = weights;
        for (int32_t o = 0; o < p->output_depth; o++) {
            int32_t sum = bias[o] + stapes_dot_s8_packed(x, w, p->input_depth, bits);
            sum = stapes_requantize_double(sum, p->scales[o]);
            out[o] = (int8_t)stapes_offset_clamp(sum, p->output_zero_point, p->output_min,
                                                 p->output_max);
            w += row_bytes;
        }
    }
}

static inline void stapes_fully_connected_s16_rows(const stapes_fully_connected_params *p,
                                                   int32_t row0, int32_t rows, const int16_t *input,
                                                   const uint8_t *weights, const int64_t *bias,
                                                   int32_t bits, int16_t *output) {
    const int32_t row_bytes = stapes_packed_bytes(p->input_depth, bits);
    for (int32_t r = row0; r < row0 + rows; r++) {
        const int16_t *x = input + r * p->input_depth;
        int16_t *out = output + r * p->output_depth;
        const uint8_t *w = weights;
        for (int32_t o = 0; o < p->output_depth; o++) {
            const int64_t sum = bias[o] + stapes_dot_s16_packed(x, w, p->input_depth, bits);
            out[o] = (int16_t)stapes_clamp(stapes_requantize_double(sum, p->scales[o]),
                                           p->output_min, p->output_max);
            w += row_bytes;
        }
    }
}

/* As many rows as share the unpacking of weights, of those that are left. */
static inline int32_t stapes_hybrid_rows_of(int32_t left) {
    return left < STAPES_HYBRID_ROWS ? left : STAPES_HYBRID_ROWS;
}

/* `count` rows of x quantized, each by its own range. */
static inline void stapes_quantize_rows(const float *x, int32_t depth, int32_t count,
                                        int16_t *quantized, float *scales) {
    for (int32_t r = 0; r < count; r++) {
        scales[r] = stapes_quantize_row(x + r * depth, depth, quantized + r * depth);
    }
}

static inline void stapes_fully_connected_f32_rows(const stapes_fully_connected_f32_params *p,
                                                   int32_t row0, int32_t rows, const float *input,
                                                   const uint8_t *weights, const float *bias,
                                                   int16_t *scratch, int32_t bits, float *output) {
    const int32_t depth = p->input_depth;
    const int32_t row_bytes = stapes_packed_bytes(depth, bits);
    for (int32_t first = row0; first < row0 + rows; first += STAPES_HYBRID_ROWS) {
        const int32_t count = stapes_hybrid_rows_of(row0 + rows - first);
        float scales[STAPES_HYBRID_ROWS];
        stapes_quantize_rows(input + first * depth, depth, count, scratch, scales);
        const uint8_t *w = weights;
        float *out = output + first * p->output_depth;
        for (int32_t o = 0; o < p->output_depth; o++) {
            int32_t sums[STAPES_HYBRID_ROWS];
            stapes_dots_s16_packed(scratch, depth, count, w, depth, bits, sums);
            for (int32_t r = 0; r < count; r++) {
                const float value = (float)sums[r] * scales[r] * p->scales[o] + bias[o];
                out[r * p->output_depth + o] =
                    stapes_clamp_float(value, p->output_min, p->output_max);
            }
            w += row_bytes;
        }
    }
}

static inline void stapes_fully_connected_f32_rows_blocks(
    const stapes_fully_connected_blocks_params *p, int32_t row0, int32_t rows, const float *input,
    const uint8_t *weights, const float *bias, int16_t *scratch, int32_t bits, float *output) {
    const int32_t depth = p->input_depth;
    const int32_t block_bytes = stapes_packed_bytes(p->block_size, bits);
    for (int32_t first = row0; first < row0 + rows; first += STAPES_HYBRID_ROWS) {
        const int32_t count = stapes_hybrid_rows_of(row0 + rows - first);
        float scales[STAPES_HYBRID_ROWS];
        stapes_quantize_rows(input + first * depth, depth, count, scratch, scales);
        const uint8_t *w = weights;
        const uint16_t *block_scale = p->scales;
        float *out = output + first * p->output_depth;
        for (int32_t o = 0; o < p->output_depth; o++) {
            float totals[STAPES_HYBRID_ROWS] = {0.0f};
            for (int32_t begin = 0; begin < depth; begin += p->block_size) {
                const float scale = stapes_float_of((uint32_t)*block_scale++ << 16);
                int32_t sums[STAPES_HYBRID_ROWS];
                stapes_dots_s16_packed(scratch + begin, depth, count, w, p->block_size, bits, sums);
                for (int32_t r = 0; r < count; r++) {
                    totals[r] += (float)sums[r] * scale;
                }
                w += block_bytes;
            }
            for (int32_t r = 0; r < count; r++) {
                const float value = totals[r] * scales[r] + bias[o];
                out[r * p->output_depth + o] =
                    stapes_clamp_float(value, p->output_min, p->output_max);
            }
        }
    }
}

#endif
