/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/raw_pcm.h"
#include "stapes/speech.h"

static void write_values(const stapes_raw_pcm_input *input, stapes_context *context,
                         const int16_t *pcm, int32_t count) {
    uint8_t *const values = stapes_at(context, &input->values);
    input->convert(&input->rescale, pcm, count,
                   values + (uint32_t)(context->frames - 1) * input->value_bytes);
    context->frames += count;
}

/* Samples are written where the network reads them; context->frames is their count plus one. What
 * exceeds the window is not looked at. */
stapes_status stapes_raw_pcm_feed(const stapes_model *model, stapes_context *context,
                                  const int16_t *pcm, size_t samples) {
    const stapes_raw_pcm_input *const input = model->speech->input;
    if (context->frames == 1) {
        context->energy = 0;
    }
    if (samples > (size_t)(input->samples - (context->frames - 1))) {
        return STAPES_ERROR_AUDIO_TOO_LONG;
    }
    for (size_t i = 0; i < samples; i++) {
        context->energy += (uint64_t)((int64_t)pcm[i] * pcm[i]);
    }
    write_values(input, context, pcm, (int32_t)samples);
    context->held_samples = context->frames - 1;
    return STAPES_OK;
}

void stapes_raw_pcm_pad(const stapes_model *model, stapes_context *context) {
    static const int16_t silence[32];
    const stapes_raw_pcm_input *const input = model->speech->input;
    const int32_t block = (int32_t)(sizeof silence / sizeof silence[0]);
    for (int32_t left = input->samples - (context->frames - 1); left > 0; left -= block) {
        write_values(input, context, silence, left < block ? left : block);
    }
}
