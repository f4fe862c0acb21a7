/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/log_mel.h"

/*
 * output[i] = (float)features[i] * scale + bias
 *
 * features (count,) int16, output (count,) float; the product is rounded, then the sum. No overlap.
 */
void stapes_rescale_f32(const stapes_rescale_params *params, const int16_t *features, int32_t count,
                        void *output) {
    float *const values = output;
    for (int32_t i = 0; i < count; i++) {
        const float scaled = (float)features[i] * params->scale;
        values[i] = scaled + params->bias;
    }
}
