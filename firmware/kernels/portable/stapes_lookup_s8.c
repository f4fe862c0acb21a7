/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/unary.h"

/*
 * output[r][c] = table[input[r][c] + 128]
 *
 * input  int8 [...][columns]
 * output int8 [...][columns]; rows row0 ... row0 + rows - 1 are written; may be the input
 */
void stapes_lookup_s8(const stapes_lookup_params *params, int32_t row0, int32_t rows,
                      const int8_t *input, int8_t *output) {
    const int8_t *table = params->table + 128;
    const int32_t last = (row0 + rows) * params->columns;

    for (int32_t i = row0 * params->columns; i < last; i++) {
        output[i] = table[input[i]];
    }
}
