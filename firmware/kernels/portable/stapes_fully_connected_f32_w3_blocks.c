/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/fully_connected.h"

#include "stapes/fully_connected_rows.h"

/*
 * output[r][o] = clamp(sum over blocks b of (sum over i of b of q[r][i] * weights[o][i]) *
 *                scales[o][b]) * s[r] + bias[o])
 *
 * input   float [...][input_depth], each row quantized by its own range: input[r][i] is about
 *         s[r] * q[r][i], q in -255 ... 255
 * weights int3 [output_depth][input_depth], zero point 0, rows as stapes/packed.h has them
 * bias    float [output_depth]
 * scratch int16 [STAPES_HYBRID_ROWS][input_depth]; of fewer rows, int16 [rows][input_depth]
 * output  float [...][output_depth]; rows row0 ... row0 + rows - 1 are written
 *
 * block_size is a multiple of 32 and divides input_depth. A block's sum is exact; then each
 * operation rounds to single precision, blocks in their order. Output and scratch overlap nothing.
 */
void stapes_fully_connected_f32_w3_blocks(const stapes_fully_connected_blocks_params *params,
                                          int32_t row0, int32_t rows, const float *input,
                                          const uint8_t *weights, const float *bias,
                                          int16_t *scratch, float *output) {
    stapes_fully_connected_f32_rows_blocks(params, row0, rows, input, weights, bias, scratch, 3,
                                           output);
}
