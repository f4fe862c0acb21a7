/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/layout.h"

#include "stapes/memory.h"

/*
 * output[i][j][k][l] = the run of bytes at input + offset + i * step_0 + j * step_1 + k * step_2 +
 * l * step_3
 *
 * input  bytes
 * output [...][output_1][output_2][output_3][bytes]; a row is a run; rows row0 ... row0 + rows - 1
 *        are written; overlaps no input
 */
void stapes_slice(const stapes_slice_params *params, int32_t row0, int32_t rows, const void *input,
                  void *output) {
    const stapes_slice_params *p = params;
    const int8_t *from = (const int8_t *)input + p->offset;
    int8_t *out = (int8_t *)output + row0 * p->bytes;

    for (int32_t row = row0; row < row0 + rows; row++) {
        const int32_t plane = row / p->output_3;
        const int32_t block = plane / p->output_2;
        const int32_t at = row % p->output_3 * p->step_3 + plane % p->output_2 * p->step_2 +
                           block % p->output_1 * p->step_1 + block / p->output_1 * p->step_0;
        memcpy(out, from + at, (size_t)p->bytes);
        out += p->bytes;
    }
}
