/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "stapes/speech.h"
#include "stapes/whisper_mel.h"

#define FRAME STAPES_WHISPER_MEL_FRAME
#define HOP STAPES_WHISPER_MEL_HOP
#define HALF (FRAME / 2)
#define RANGE 13607 /* 8 decades: 512 * log2(10^8) */

/* The sample at which the next frame starts; context->frames is the rows written plus one. */
static int32_t first_sample(const stapes_context *context) {
    return (context->frames - 1) * HOP - HALF;
}

/* The next row of features from the history, which then loses its first hop. */
static void write_row(const stapes_whisper_mel_input *input, stapes_context *context) {
    int16_t *const history = stapes_at(context, &input->history);
    int16_t *const features = stapes_at(context, &input->features);
    const int32_t row = context->frames - 1;
    for (int32_t n = 1; row == 0 && n < HALF; n++) { /* the window opens with its mirror image */
        history[HALF - n] = history[HALF + n];
    }
    stapes_whisper_mel(&input->params, history, stapes_at(context, &input->folded),
                       features + row * input->params.bands);
    memcpy(history, history + HOP, HOP * sizeof(int16_t));
    memcpy(history + HOP, history + 2 * HOP, (FRAME - 2 * HOP) * sizeof(int16_t));
    context->frames++;
}

/* A frame becomes features as soon as its last sample is there; context->held_samples counts all
 * samples. What exceeds the window is not looked at. */
stapes_status stapes_whisper_mel_feed(const stapes_model *model, stapes_context *context,
                                      const int16_t *pcm, size_t samples) {
    const stapes_whisper_mel_input *const input = model->speech->input;
    int16_t *const history = stapes_at(context, &input->history);
    if (context->held_samples == 0) {
        context->energy = 0;
        memset(history, 0, FRAME * sizeof(int16_t));
    }
    if (samples > (size_t)(input->frames * HOP - context->held_samples)) {
        return STAPES_ERROR_AUDIO_TOO_LONG;
    }
    for (size_t i = 0; i < samples; i++) {
        const int32_t place = context->held_samples - first_sample(context);
        context->energy += (uint64_t)((int64_t)pcm[i] * pcm[i]);
        history[place] = pcm[i];
        context->held_samples++;
        if (place == FRAME - 1) {
            write_row(input, context);
        }
    }
    return STAPES_OK;
}

/* The rest of the next frame: silence, and behind the window's end its mirror image. */
static void complete(const stapes_whisper_mel_input *input, stapes_context *context) {
    int16_t *const history = stapes_at(context, &input->history);
    const int32_t end = input->frames * HOP - first_sample(context);
    const int32_t held = context->held_samples - first_sample(context);
    for (int32_t i = held; i < FRAME; i++) {
        history[i] = i < end ? 0 : history[2 * end - 2 - i];
    }
}

/* Features, at most 8 decades below the greatest of the window, as the network's input. */
static void write_values(const stapes_whisper_mel_input *input, stapes_context *context) {
    int16_t *const features = stapes_at(context, &input->features);
    const int32_t count = input->frames * input->params.bands;
    int32_t greatest = 0;
    for (int32_t i = 0; i < count; i++) {
        greatest = features[i] > greatest ? features[i] : greatest;
    }
    for (int32_t i = 0; i < count; i++) {
        features[i] = (int16_t)(features[i] < greatest - RANGE ? greatest - RANGE : features[i]);
    }
    input->convert(&input->rescale, features, count, stapes_at(context, &input->values));
}

void stapes_whisper_mel_pad(const stapes_model *model, stapes_context *context) {
    const stapes_whisper_mel_input *const input = model->speech->input;
    if (context->held_samples == 0) {
        memset(stapes_at(context, &input->history), 0, FRAME * sizeof(int16_t));
    }
    while (context->frames - 1 < input->frames) {
        if (first_sample(context) >= context->held_samples) { /* nothing but silence is left */
            int16_t *const features = stapes_at(context, &input->features);
            const int32_t done = (context->frames - 1) * input->params.bands;
            const int32_t left = input->frames * input->params.bands - done;
            memset(features + done, 0, (size_t)left * sizeof(int16_t));
            break;
        }
        complete(input, context);
        write_row(input, context);
    }
    write_values(input, context);
}
