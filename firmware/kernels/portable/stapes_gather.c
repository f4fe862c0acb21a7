/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/gather.h"

#include "stapes/memory.h"

/*
 * output[o][i] = input[o][indices[i]]
 *
 * input   [...][length][bytes]
 * indices int32 [indices]; below 0 counts as 0, above length - 1 as length - 1
 * output  [...][indices][bytes]; a row is bytes long; rows row0 ... row0 + rows - 1 are written;
 *         overlaps no input
 */
void stapes_gather(const stapes_gather_params *params, int32_t row0, int32_t rows,
                   const void *input, const int32_t *indices, void *output) {
    const stapes_gather_params *p = params;
    const int8_t *from = input;
    int8_t *out = (int8_t *)output + row0 * p->bytes;

    for (int32_t row = row0; row < row0 + rows; row++) {
        int32_t index = indices[row % p->indices];
        index = index < 0 ? 0 : index >= p->length ? p->length - 1 : index;
        const int32_t block = row / p->indices * p->length + index;
        memcpy(out, from + block * p->bytes, (size_t)p->bytes);
        out += p->bytes;
    }
}
