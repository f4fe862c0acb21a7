/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/layout.h"

#include "stapes/memory.h"

/*
 * output[r] = input1[r], input2[r], input3[r], input4[r], one behind the other
 *
 * input k [...][bytes_k]; where bytes_k is 0, the input is not read and may be null
 * output  [...][the sum of all bytes]; rows row0 ... row0 + rows - 1 are written; overlaps no input
 */
void stapes_concatenation(const stapes_concatenation_params *params, int32_t row0, int32_t rows,
                          const void *input1, const void *input2, const void *input3,
                          const void *input4, void *output) {
    const int8_t *const inputs[] = {input1, input2, input3, input4};
    const int32_t bytes[] = {params->bytes_1, params->bytes_2, params->bytes_3, params->bytes_4};
    int8_t *out = (int8_t *)output + row0 * (bytes[0] + bytes[1] + bytes[2] + bytes[3]);

    for (int32_t row = row0; row < row0 + rows; row++) {
        for (int32_t k = 0; k < 4 && bytes[k] > 0; k++) {
            memcpy(out, inputs[k] + row * bytes[k], (size_t)bytes[k]);
            out += bytes[k];
        }
    }
}
