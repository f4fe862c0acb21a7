/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/copy.h"

#include "stapes/memory.h"

/* output[i] = input[i], 0 <= i < bytes. Output overlaps no input. */
void stapes_copy(int32_t bytes, const void *input, void *output) {
    memcpy(output, input, (size_t)bytes);
}
