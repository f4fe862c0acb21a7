/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "stapes/log_mel.h"
#include "stapes/speech.h"

/* The next row of the network's input from the features. */
static void write_row(const stapes_log_mel_input *input, stapes_context *context) {
    const uint32_t row_bytes = (uint32_t)input->params.bands * input->value_bytes;
    uint8_t *const values = stapes_at(context, &input->values);
    input->convert(&input->rescale, stapes_at(context, &input->features), input->params.bands,
                   values + (uint32_t)(context->frames - 1) * row_bytes);
    context->frames++;
}

/* Drop the first hop of the history. */
static void advance(const stapes_log_mel_params *params, int16_t *history) {
    const int32_t hop = params->hop_samples;
    const int32_t keep = params->frame_samples - hop;
    for (int32_t done = 0; done < keep; done += hop) {
        const int32_t part = keep - done < hop ? keep - done : hop;
        memcpy(history + done, history + done + hop, (size_t)part * sizeof(int16_t));
    }
}

/* A frame becomes features and a row as soon as its last sample is there; context->frames is the
 * rows written plus one. */
stapes_status stapes_log_mel_feed(const stapes_model *model, stapes_context *context,
                                  const int16_t *pcm, size_t samples) {
    const stapes_log_mel_input *const input = model->speech->input;
    int16_t *const history = stapes_at(context, &input->history);
    while (samples > 0) {
        if (context->frames - 1 == input->frames) {
            return STAPES_ERROR_AUDIO_TOO_LONG;
        }
        const size_t room = (size_t)(input->params.frame_samples - context->held_samples);
        const size_t taken = samples < room ? samples : room;
        memcpy(history + context->held_samples, pcm, taken * sizeof(int16_t));
        context->held_samples += (int32_t)taken;
        pcm += taken;
        samples -= taken;
        if (taken == room) {
            stapes_log_mel(&input->params, history, stapes_at(context, &input->spectrum),
                           stapes_at(context, &input->features));
            write_row(input, context);
            advance(&input->params, history);
            context->held_samples -= input->params.hop_samples;
        }
    }
    return STAPES_OK;
}

void stapes_log_mel_pad(const stapes_model *model, stapes_context *context) {
    const stapes_log_mel_input *const input = model->speech->input;
    memset(stapes_at(context, &input->features), 0, (size_t)input->params.bands * sizeof(int16_t));
    while (context->frames - 1 < input->frames) {
        write_row(input, context);
    }
}
