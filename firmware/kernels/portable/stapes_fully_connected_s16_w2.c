/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/fully_connected.h"

#include "stapes/fully_connected_rows.h"

/*
 * output[r][o] = clamp(round(scales[o] * (bias[o] + sum of input[r][i] * weights[o][i])))
 *
 * input   int16 [...][input_depth], zero point 0
 * weights int2 [output_depth][input_depth], zero point 0, rows as stapes/packed.h has them
 * bias    int64 [output_depth]
 * output  int16 [...][output_depth], zero point 0; rows row0 ... row0 + rows - 1 are written
 *
 * Bias and products must sum to less than 2^47 in magnitude, and to less than 2^32 where scales[o]
 * < 2^-16. Rounds as a double product does, halves away from zero. Output overlaps no input.
 */
void stapes_fully_connected_s16_w2(const stapes_fully_connected_params *params, int32_t row0,
                                   int32_t rows, const int16_t *input, const uint8_t *weights,
                                   const int64_t *bias, int16_t *output) {
    stapes_fully_connected_s16_rows(params, row0, rows, input, weights, bias, 2, output);
}
