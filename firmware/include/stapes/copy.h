/* SPDX-License-Identifier: Apache-2.0 */
/* A plain copy, for outputs that are only another name of an input or a constant. */
#ifndef STAPES_COPY_H
#define STAPES_COPY_H

#include <stdint.h>

void stapes_copy(int32_t bytes, const void *input, void *output);

#endif
