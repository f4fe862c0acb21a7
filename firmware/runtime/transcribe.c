/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/speech.h"
#include "stapes/stapes.h"

/* context->frames: 0 before stapes_begin and after stapes_finish (so in a zeroed context too),
 * positive while PCM arrives, and this after more PCM than the window. */
#define TOO_LONG (-1)

static int is_ready(const stapes_model *model, const stapes_context *context) {
    return model != NULL && context != NULL && model->speech != NULL && context->frames != 0;
}

static void clear(char *text, size_t text_bytes, size_t *written) {
    if (written != NULL) {
        *written = 0;
    }
    if (text != NULL && text_bytes > 0) {
        text[0] = '\0';
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
    stapes_status status = STAPES_ERROR_AUDIO_TOO_LONG;
    if (context->frames != TOO_LONG) {
        status = model->speech->feed(model, context, pcm, samples);
    }
    if (status != STAPES_OK) {
        context->frames = TOO_LONG;
    }
    return status;
}

/* Fill the window with silence, run the graphs and write the text. Afterwards, unless an argument
 * was wrong, the context waits for stapes_begin. */
stapes_status stapes_finish(const stapes_model *model, stapes_context *context, char *text,
                            size_t text_bytes, size_t *written) {
    clear(text, text_bytes, written);
    if (!is_ready(model, context) || text == NULL) {
        return STAPES_ERROR_ARGUMENT;
    }
    if (text_bytes == 0) {
        return STAPES_ERROR_TEXT_TOO_SMALL;
    }
    stapes_status status = STAPES_ERROR_AUDIO_TOO_LONG;
    if (context->frames != TOO_LONG) {
        status = stapes_check(model, context);
        if (status == STAPES_OK) {
            model->speech->pad(model, context);
            status = model->speech->decode(model, context, text, text_bytes, written);
        }
    }
    context->frames = 0;
    return status;
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
    clear(text, text_bytes, written);
    return status;
}
