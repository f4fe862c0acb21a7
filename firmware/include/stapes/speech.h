/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a model a speech model: const data that a generated project fills in. How PCM comes
 * in and how text comes out are functions, so that firmware links those of its models only.
 *
 *   static const stapes_log_mel_input input = {
 *       .params = {.window = window, .sine = sine, .log2 = log2_table, .starts = starts,
 *                  .rises = rises, .frame_samples = 400, .hop_samples = 160, .bands = 40},
 *       .rescale = {.offset = -19705919648637, .multiplier = 1860652795, .shift = 36},
 *       .convert = stapes_rescale_s8,
 *       .values = {.arena = 0, .offset = 0, .bytes = 12840}, .value_bytes = 1, .frames = 321,
 *       .history = {.arena = 0, .offset = 12840, .bytes = 800},
 *       .spectrum = {.arena = 0, .offset = 13648, .bytes = 2048},
 *       .features = {.arena = 0, .offset = 15696, .bytes = 80},
 *   };
 *   static const uint16_t word_ends[3] = {0, 3, 5};   (class 0, the blank, has no text)
 *   static const stapes_ctc_params ctc = {
 *       .words = "yesno", .word_ends = word_ends, .separator = " ", .separator_bytes = 1,
 *       .classes = 3, .blank = 0, .frames = 81, .logit_bytes = 1,
 *   };
 *   static const struct stapes_speech speech = {
 *       .feed = stapes_log_mel_feed, .pad = stapes_log_mel_pad, .input = &input,
 *       .decode = stapes_ctc_decode, .decoder = &ctc,
 *   };
 */
#ifndef STAPES_SPEECH_H
#define STAPES_SPEECH_H

#include <stdint.h>

#include "stapes/stapes.h"

#ifdef __cplusplus
extern "C" {
#endif

struct stapes_speech {
    /* Write PCM into the first graph's input; STAPES_ERROR_AUDIO_TOO_LONG past the window. */
    stapes_status (*feed)(const stapes_model *model, stapes_context *context, const int16_t *pcm,
                          size_t samples);
    /* Fill the window's rest with silence. */
    void (*pad)(const stapes_model *model, stapes_context *context);
    /* Run the graphs and write the text, which is empty and has a byte or more. */
    stapes_status (*decode)(const stapes_model *model, const stapes_context *context, char *text,
                            size_t text_bytes, size_t *written);
    const void *input;   /* of feed and pad: such as a stapes_log_mel_input */
    const void *decoder; /* of decode: such as a stapes_ctc_params */
};

/* Where a tensor lies. */
static inline void *stapes_at(const stapes_context *context, const stapes_tensor *tensor) {
    return context->arena[tensor->arena] + tensor->offset;
}

/* An array that was compiled in, or, where `data` is null, lies in the bound weights. */
typedef struct stapes_constant {
    const void *data;
    uint32_t offset; /* bytes from the first array's start */
} stapes_constant;

static inline const void *stapes_constant_at(const stapes_context *context,
                                             const stapes_constant *constant) {
    return constant->data != NULL ? constant->data : context->weights + constant->offset;
}

#ifdef __cplusplus
}
#endif

#endif
