/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a tensor, chosen by indices that may be computed. */
#ifndef STAPES_GATHER_H
#define STAPES_GATHER_H

#include <stdint.h>

typedef struct stapes_gather_params {
    int32_t length;  /* blocks to choose from */
    int32_t indices; /* blocks chosen */
    int32_t bytes;   /* a block */
} stapes_gather_params;

void stapes_gather(const stapes_gather_params *params, int32_t row0, int32_t rows,
                   const void *input, const int32_t *indices, void *output);

#endif
