/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/fully_connected.h"

#include "stapes/fully_connected_rows.h"

/*
 * output[r][o] = clamp(zero_point + round(scales[o] * (bias[o] + sum of input[r][i] *
 * weights[o][i])))
 *
 * input   int8 [...][input_depth]
 * weights int3 [output_depth][input_depth], zero point 0, rows as stapes/packed.h has them
 * bias    int32 [output_depth], less the input's zero point * the sum of the row of weights
 * output  int8 [...][output_depth]; rows row0 ... row0 + rows - 1 are written
 *
 * Bias and products must sum to less than 2^31 in magnitude.
 * Rounds as a double product does, halves away from zero. Output overlaps no input.
 */
void stapes_fully_connected_s8_w3(const stapes_fully_connected_params *params, int32_t row0,
                                  int32_t rows, const int8_t *input, const uint8_t *weights,
                                  const int32_t *bias, int8_t *output) {
    stapes_fully_connected_s8_rows(params, row0, rows, input, weights, bias, 3, output);
}
