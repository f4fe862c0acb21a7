/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/log_mel.h"

/*
 * output[i] = clamp((features[i] * multiplier + offset) >> shift, INT16_MIN, INT16_MAX)
 *
 * features (count,) int16, output (count,) int16; the rounding half and the zero point are part
 * of the offset; |offset| < 2^62, shift 0 .. 62; the shift is arithmetic. No overlap.
 */
void stapes_rescale_s16(const stapes_rescale_params *params, const int16_t *features, int32_t count,
                        void *output) {
    int16_t *const values = output;
    for (int32_t i = 0; i < count; i++) {
        const int64_t scaled = features[i] * (int64_t)params->multiplier + params->offset;
        const int64_t value = scaled >> params->shift;
        values[i] = (int16_t)(value < INT16_MIN   ? INT16_MIN
                              : value > INT16_MAX ? INT16_MAX
                                                  : value);
    }
}
