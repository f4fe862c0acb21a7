/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/softmax.h"

#include "stapes/interpolate.h"
#include "stapes/requantize.h"

/*
 * output[r][i] = 32768 * exp(scale * input[r][i]) / sum over j of exp(scale * input[r][j])
 *
 * input   int16 [...][depth], zero point 0, 1 <= depth < 2^16; its scale is in the multiplier
 * output  int16 [...][depth], scale 1/32768, zero point 0; rows row0 ... row0 + rows - 1 are
 *         written; may be the input
 *
 * Differences from the row's largest value are rescaled as stapes_requantize; below -10 they count
 * as -10. Both tables are interpolated with 15 fraction bits.
 */
void stapes_softmax_s16(const stapes_softmax_s16_params *params, int32_t row0, int32_t rows,
                        const int16_t *input, int16_t *output) {
    const int32_t depth = params->depth;
    const int16_t *x = input + row0 * depth;
    int16_t *out = output + row0 * depth;

    for (int32_t row = 0; row < rows; row++) {
        int32_t largest = x[0];
        for (int32_t i = 1; i < depth; i++) {
            largest = x[i] > largest ? x[i] : largest;
        }
        /* The output holds the exponentials until their sum is known. */
        int32_t sum = 0;
        for (int32_t i = 0; i < depth; i++) {
            const int32_t steps =
                stapes_requantize(x[i] - largest, params->multiplier, params->shift);
            const int32_t centred = stapes_clamp(steps, -65535, 0) + 32767;
            out[i] = (int16_t)stapes_interpolate(params->exponentials, centred);
            sum += out[i];
        }
        /* sum = (1 + fraction / 65536) * 2^(31 - headroom) */
        const int32_t headroom = __builtin_clz((unsigned)sum);
        const int32_t scaled = (int32_t)((((int64_t)sum << (headroom - 1)) + (1 << 13)) >> 14);
        const int32_t fraction = stapes_clamp(scaled - (1 << 16) - (1 << 15), -32768, 32767);
        const int32_t factor = stapes_interpolate(params->reciprocals, fraction);
        const int32_t shift = 31 - headroom;
        for (int32_t i = 0; i < depth; i++) {
            const int32_t value =
                (int32_t)(((int64_t)out[i] * factor + (INT64_C(1) << (shift - 1))) >> shift);
            out[i] = (int16_t)stapes_clamp(value, 0, 32767);
        }
        x += depth;
        out += depth;
    }
}
