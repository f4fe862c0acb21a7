/* SPDX-License-Identifier: Apache-2.0 */
/* A function tabulated at 513 points over all of int16, linear between them. */
#ifndef STAPES_INTERPOLATE_H
#define STAPES_INTERPOLATE_H

#include <stdint.h>

/* The function at x, -32768 <= x <= 32767. Slopes wrap to 16 bits, as LiteRT's do. */
static inline int32_t stapes_interpolate(const int16_t *table, int32_t x) {
    const int16_t *at = table + 256 + (x >> 7);
    const int16_t slope = (int16_t)(at[1] - at[0]);
    return (int16_t)(at[0] + ((slope * (x & 127) + 64) >> 7));
}

#endif
