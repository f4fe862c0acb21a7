/* SPDX-License-Identifier: Apache-2.0 */
/* The logarithm of the front ends. */
#ifndef STAPES_LOG2_H
#define STAPES_LOG2_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* log2(value) in Q15, value not 0, by `table`: log2(1 + n / 64) in Q15, n = 0 .. 64. */
static inline int32_t stapes_log2_q15(const uint16_t *table, uint64_t value) {
    int32_t exponent = 63;
    for (int32_t step = 32; step > 0; step /= 2) {
        if ((value >> (64 - step)) == 0) {
            value <<= step;
            exponent -= step;
        }
    }
    const uint32_t index = (uint32_t)(value >> 57) & 63u;
    const uint32_t rest = (uint32_t)(value >> 42) & 32767u;
    const uint32_t low = table[index];
    const uint32_t fraction = low + (((table[index + 1u] - low) * rest + 16384u) >> 15);
    return exponent * 32768 + (int32_t)fraction;
}

#ifdef __cplusplus
}
#endif

#endif
