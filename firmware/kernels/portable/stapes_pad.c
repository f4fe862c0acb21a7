/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/layout.h"

#include "stapes/memory.h"

/*
 * output = input with bytes of the value fill around it
 *
 * input  [input_0][input_1][input_2][input_bytes]
 * output [...][output_1][output_2][output_bytes]; the input starts at before_0, before_1, before_2,
 *        before_bytes. A row is output_bytes long; rows row0 ... row0 + rows - 1 are written.
 *        Overlaps no input.
 */
void stapes_pad(const stapes_pad_params *params, int32_t row0, int32_t rows, const void *input,
                void *output) {
    const stapes_pad_params *p = params;
    const int8_t *from = input;
    int8_t *out = (int8_t *)output + row0 * p->output_bytes;

    for (int32_t row = row0; row < row0 + rows; row++) {
        const int32_t i2 = row % p->output_2 - p->before_2;
        const int32_t i1 = row / p->output_2 % p->output_1 - p->before_1;
        const int32_t i0 = row / p->output_2 / p->output_1 - p->before_0;
        const int inside =
            i0 >= 0 && i0 < p->input_0 && i1 >= 0 && i1 < p->input_1 && i2 >= 0 && i2 < p->input_2;

        memset(out, p->fill, (size_t)p->output_bytes);
        if (inside) {
            const int32_t line = (i0 * p->input_1 + i1) * p->input_2 + i2;
            memcpy(out + p->before_bytes, from + line * p->input_bytes, (size_t)p->input_bytes);
        }
        out += p->output_bytes;
    }
}
