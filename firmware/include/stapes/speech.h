/* SPDX-License-Identifier: Apache-2.0 */
/* What makes a model a speech model: const data that a generated project fills in.
 *
 *   static const struct stapes_speech speech = {
 *       .front_end = {.window = window, .sine = sine, .log2 = log2_table, .starts = starts,
 *                     .rises = rises, .frame_samples = 400, .hop_samples = 160, .bands = 40},
 *       .rescale = {.offset = -19705919648637, .multiplier = 1860652795, .shift = 36},
 *       .ctc = {.words = "yesno", .word_ends = word_ends, .separator = " ",
 *               .separator_bytes = 1, .classes = 3, .blank = 0, .frames = 81,
 *               .logit_bytes = 1},
 *       .graph = 0, .input = 0, .output = 0, .input_value_bytes = 1, .frames = 321,
 *       .history = {.arena = 0, .offset = 12840, .bytes = 800},
 *       .spectrum = {.arena = 0, .offset = 13648, .bytes = 2048},
 *       .features = {.arena = 0, .offset = 15696, .bytes = 80},
 *   };
 *   static const uint16_t word_ends[3] = {0, 3, 5};   (class 0, the blank, has no text)
 */
#ifndef STAPES_SPEECH_H
#define STAPES_SPEECH_H

#include <stdint.h>

#include "stapes/ctc.h"
#include "stapes/log_mel.h"
#include "stapes/stapes.h"

#ifdef __cplusplus
extern "C" {
#endif

struct stapes_speech {
    stapes_log_mel_params front_end;
    stapes_rescale_params rescale;
    stapes_ctc_params ctc;
    uint32_t graph;             /* the graph from features to logits */
    uint32_t input;             /* its input (frames, bands) */
    uint32_t output;            /* its output (ctc.frames, ctc.classes) */
    uint32_t input_value_bytes; /* 1: int8, 2: int16 */
    int32_t frames;             /* the window: hop_samples * (frames - 1) + frame_samples of PCM */
    /* Memory that is needed until the first kernel runs, each aligned to 4 bytes or more. */
    stapes_tensor history;  /* int16 (frame_samples,) */
    stapes_tensor spectrum; /* int32 (STAPES_LOG_MEL_SPECTRUM,) */
    stapes_tensor features; /* int16 (bands,) */
};

#ifdef __cplusplus
}
#endif

#endif
