/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/interpolate.h"
#include "stapes/unary.h"

/*
 * output[r][c] = a + round((b - a) * (x mod 128) / 128), where x = input[r][c],
 * a = table[256 + floor(x / 128)] and b is the table's next value
 *
 * input  int16 [...][columns]
 * output int16 [...][columns]; rows row0 ... row0 + rows - 1 are written; may be the input
 *
 * Halves round up.
 */
void stapes_lookup_s16(const stapes_lookup_s16_params *params, int32_t row0, int32_t rows,
                       const int16_t *input, int16_t *output) {
    const int32_t last = (row0 + rows) * params->columns;

    for (int32_t i = row0 * params->columns; i < last; i++) {
        output[i] = (int16_t)stapes_interpolate(params->table, input[i]);
    }
}
