/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/layout.h"

#include "stapes/memory.h"

/*
 * output1[r], output2[r], output3[r], output4[r] = input[r], taken apart
 *
 * input    [...][parts * bytes], 2 <= parts <= 4
 * output k [...][bytes]; from the one after the last part on, outputs are not written and may be
 *          null; rows row0 ... row0 + rows - 1 are written; they overlap nothing
 */
void stapes_split(const stapes_split_params *params, int32_t row0, int32_t rows, const void *input,
                  void *output1, void *output2, void *output3, void *output4) {
    const int32_t bytes = params->bytes;
    int8_t *const outputs[] = {output1, output2, output3, output4};
    const int8_t *from = (const int8_t *)input + row0 * params->parts * bytes;

    for (int32_t row = row0; row < row0 + rows; row++) {
        for (int32_t k = 0; k < params->parts; k++) {
            memcpy(outputs[k] + row * bytes, from, (size_t)bytes);
            from += bytes;
        }
    }
}
