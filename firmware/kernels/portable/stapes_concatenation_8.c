/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/layout.h"

#include "stapes/memory.h"

/*
 * output[r] = input1[r], input2[r] ... input8[r], one behind the other
 *
 * input k [...][bytes_k]; where bytes_k is 0, the input is not read and may be null
 * output  [...][the sum of all bytes]; rows row0 ... row0 + rows - 1 are written; overlaps no input
 */
void stapes_concatenation_8(const stapes_concatenation_8_params *params, int32_t row0, int32_t rows,
                            const void *input1, const void *input2, const void *input3,
                            const void *input4, const void *input5, const void *input6,
                            const void *input7, const void *input8, void *output) {
    const stapes_concatenation_8_params *p = params;
    const int8_t *const inputs[] = {input1, input2, input3, input4, input5, input6, input7, input8};
    const int32_t bytes[] = {p->bytes_1, p->bytes_2, p->bytes_3, p->bytes_4,
                             p->bytes_5, p->bytes_6, p->bytes_7, p->bytes_8};
    int32_t row_bytes = 0;
    for (int32_t k = 0; k < 8; k++) {
        row_bytes += bytes[k];
    }
    int8_t *out = (int8_t *)output + row0 * row_bytes;

    for (int32_t row = row0; row < row0 + rows; row++) {
        for (int32_t k = 0; k < 8 && bytes[k] > 0; k++) {
            memcpy(out, inputs[k] + row * bytes[k], (size_t)bytes[k]);
            out += bytes[k];
        }
    }
}
