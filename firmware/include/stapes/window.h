/* SPDX-License-Identifier: Apache-2.0 */
/* Which taps of a sliding window lie inside the input, and sums over them. */
#ifndef STAPES_WINDOW_H
#define STAPES_WINDOW_H

#include <stdint.h>

/* Along one axis, tap k reads position origin + k * dilation; taps first <= k < last exist. */
typedef struct stapes_taps {
    int32_t origin;
    int32_t first;
    int32_t last;
} stapes_taps;

static inline stapes_taps stapes_clip_taps(int32_t origin, int32_t taps, int32_t dilation,
                                           int32_t length) {
    stapes_taps t = {origin, 0, taps};
    if (origin < 0) {
        t.first = (dilation - 1 - origin) / dilation;
    }
    if (origin + (taps - 1) * dilation >= length) {
        t.last = (length - origin + dilation - 1) / dilation;
    }
    if (t.last < t.first) {
        t.last = t.first;
    }
    return t;
}

/*
 * The sum of the weights whose taps lie outside the input, where it reads as the zero point.
 * Weight (ky, kx) is depth values at (ky * width + kx) * stride.
 */
static inline int32_t stapes_sum_outside(const int8_t *weights, int32_t height, int32_t width,
                                         int32_t stride, int32_t depth, stapes_taps y,
                                         stapes_taps x) {
    int32_t sum = 0;
    for (int32_t ky = 0; ky < height; ky++) {
        const int row_inside = ky >= y.first && ky < y.last;
        for (int32_t kx = 0; kx < width; kx++) {
            if (row_inside && kx >= x.first && kx < x.last) {
                continue;
            }
            const int8_t *w = weights + (ky * width + kx) * stride;
            for (int32_t i = 0; i < depth; i++) {
                sum += w[i];
            }
        }
    }
    return sum;
}

#endif
