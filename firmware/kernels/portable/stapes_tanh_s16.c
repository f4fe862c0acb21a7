/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/sigmoid.h"

/*
 * output[r][c] = 32768 * tanh(x), where x = input[r][c] * multiplier / 2^shift / 12288
 *
 * input  int16 [...][columns], zero point 0; its scale is in the multiplier
 * output int16 [...][columns], scale 1/32768, zero point 0; rows row0 ... row0 + rows - 1 are
 *        written; may be the input
 *
 * tanh(x) = 2 / (1 + exp(-2 x)) - 1 from the interpolated table; above 5.3 the output is 32767.
 */
void stapes_tanh_s16(const stapes_sigmoid_params *params, int32_t row0, int32_t rows,
                     const int16_t *input, int16_t *output) {
    const int32_t last = (row0 + rows) * params->columns;

    for (int32_t i = row0 * params->columns; i < last; i++) {
        const int32_t x = stapes_sigmoid_input(params, input[i]);
        const int32_t magnitude = x < 0 ? -x : x;
        const int32_t y =
            magnitude >= 255 << 8 ? 0xFFFF << 8 : stapes_sigmoid(params->table, magnitude, 8);
        output[i] = (int16_t)((x < 0 ? (1 << 23) - y + 127 : y - (1 << 23) + 128) >> 8);
    }
}
