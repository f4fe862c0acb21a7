/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "stapes/speech.h"
#include "stapes/stapes.h"

/* context->frames: 0 before stapes_begin and after stapes_finish (so in a zeroed context too),
 * the frames written plus one while PCM arrives, and this after more PCM than the window. */
#define TOO_LONG (-1)

static void *at(const stapes_context *context, const stapes_tensor *tensor) {
    return context->arena[tensor->arena] + tensor->offset;
}

static int is_ready(const stapes_model *model, const stapes_context *context) {
    return model != NULL && context != NULL && model->speech != NULL && context->frames != 0;
}

/* The next row of the network's input from the features. */
static void write_row(const stapes_model *model, stapes_context *context) {
    const struct stapes_speech *const speech = model->speech;
    const int16_t *const features = at(context, &speech->features);
    const int32_t bands = speech->front_end.bands;
    const size_t first = (size_t)(context->frames - 1) * (size_t)bands;
    void *const input = stapes_input(model, context, speech->graph, speech->input);
    if (speech->input_value_bytes == 1) {
        stapes_rescale_s8(&speech->rescale, features, bands, (int8_t *)input + first);
    } else {
        stapes_rescale_s16(&speech->rescale, features, bands, (int16_t *)input + first);
    }
    context->frames++;
}

/* Drop the first hop of the history. */
static void advance(const stapes_log_mel_params *front_end, int16_t *history) {
    const int32_t hop = front_end->hop_samples;
    const int32_t keep = front_end->frame_samples - hop;
    for (int32_t done = 0; done < keep; done += hop) {
        const int32_t part = keep - done < hop ? keep - done : hop;
        memcpy(history + done, history + done + hop, (size_t)part * sizeof(int16_t));
    }
}

/* Get ready for PCM; whatever the context held of an earlier recording is forgotten. */
stapes_status stapes_begin(const stapes_model *model, stapes_context *context) {
    const stapes_status status = stapes_check(model, context);
    if (status != STAPES_OK) {
        return status;
    }
    if (model->speech == NULL) {
        return STAPES_ERROR_ARGUMENT;
    }
    context->frames = 1;
    context->held_samples = 0;
    return STAPES_OK;
}

/* Take PCM in blocks of any size; the block size never changes a bit of the result. After
 * STAPES_ERROR_AUDIO_TOO_LONG only stapes_begin helps; before stapes_begin it is
 * STAPES_ERROR_ARGUMENT. */
stapes_status stapes_feed(const stapes_model *model, stapes_context *context, const int16_t *pcm,
                          size_t samples) {
    if (!is_ready(model, context) || (pcm == NULL && samples > 0)) {
        return STAPES_ERROR_ARGUMENT;
    }
    const struct stapes_speech *const speech = model->speech;
    const stapes_log_mel_params *const front_end = &speech->front_end;
    int16_t *const history = at(context, &speech->history);
    if (context->frames == TOO_LONG) {
        return STAPES_ERROR_AUDIO_TOO_LONG;
    }
    while (samples > 0) {
        if (context->frames - 1 == speech->frames) {
            context->frames = TOO_LONG;
            return STAPES_ERROR_AUDIO_TOO_LONG;
        }
        const size_t room = (size_t)(front_end->frame_samples - context->held_samples);
        const size_t taken = samples < room ? samples : room;
        memcpy(history + context->held_samples, pcm, taken * sizeof(int16_t));
        context->held_samples += (int32_t)taken;
        pcm += taken;
        samples -= taken;
        if (taken == room) {
            stapes_log_mel(front_end, history, at(context, &speech->spectrum),
                           at(context, &speech->features));
            write_row(model, context);
            advance(front_end, history);
            context->held_samples -= front_end->hop_samples;
        }
    }
    return STAPES_OK;
}

/* Fill the window with silence, run the network and write the text. An incomplete last frame is
 * left out. Afterwards, unless an argument was wrong, the context waits for stapes_begin. */
stapes_status stapes_finish(const stapes_model *model, stapes_context *context, char *text,
                            size_t text_bytes, size_t *written) {
    if (written != NULL) {
        *written = 0;
    }
    if (text != NULL && text_bytes > 0) {
        text[0] = '\0';
    }
    if (!is_ready(model, context) || text == NULL) {
        return STAPES_ERROR_ARGUMENT;
    }
    if (text_bytes == 0) {
        return STAPES_ERROR_TEXT_TOO_SMALL;
    }
    const struct stapes_speech *const speech = model->speech;
    stapes_status status = STAPES_ERROR_AUDIO_TOO_LONG;
    if (context->frames != TOO_LONG) {
        memset(at(context, &speech->features), 0,
               (size_t)speech->front_end.bands * sizeof(int16_t));
        while (context->frames - 1 < speech->frames) {
            write_row(model, context);
        }
        status = stapes_run(model, context, speech->graph);
    }
    context->frames = 0;
    if (status != STAPES_OK) {
        return status;
    }
    return stapes_ctc(&speech->ctc, stapes_output(model, context, speech->graph, speech->output),
                      text, text_bytes, written);
}

stapes_status stapes_transcribe(const stapes_model *model, stapes_context *context,
                                const int16_t *pcm, size_t samples, char *text, size_t text_bytes,
                                size_t *written) {
    stapes_status status = stapes_begin(model, context);
    if (status == STAPES_OK) {
        status = stapes_feed(model, context, pcm, samples);
    }
    if (status == STAPES_OK) {
        return stapes_finish(model, context, text, text_bytes, written);
    }
    if (written != NULL) {
        *written = 0;
    }
    if (text != NULL && text_bytes > 0) {
        text[0] = '\0';
    }
    return status;
}
