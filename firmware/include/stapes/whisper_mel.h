/* SPDX-License-Identifier: Apache-2.0 */
/* Whisper's log-mel features of 16-bit PCM in integers, and their way into a network's input. */
#ifndef STAPES_WHISPER_MEL_H
#define STAPES_WHISPER_MEL_H

#include <stddef.h>
#include <stdint.h>

#include "stapes/log_mel.h"
#include "stapes/stapes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define STAPES_WHISPER_MEL_FRAME 400
#define STAPES_WHISPER_MEL_HOP 160
/* int32 values of scratch that stapes_whisper_mel needs. */
#define STAPES_WHISPER_MEL_FOLDED 402

typedef struct stapes_whisper_mel_params {
    const int16_t *window;  /* Q15: samples 0 .. 200 of a periodic Hann window */
    const int32_t *sine;    /* Q24: sin(2 pi n / 400), n = 0 .. 499 */
    const uint16_t *log2;   /* Q15: log2(1 + n / 64), n = 0 .. 64 */
    const uint16_t *starts; /* first bin of each of the bands + 1 slopes, and 200: bands + 2 */
    const uint16_t *rises;  /* Q15: weight of bins 0 .. 199 in the band that rises there */
    const int32_t *heights; /* Q15: log2 of a band's height over 1e-10, less 46 */
    int32_t bands;
} stapes_whisper_mel_params;

/* A network's input of Whisper's frames. */
typedef struct stapes_whisper_mel_input {
    stapes_whisper_mel_params params;
    stapes_rescale_params rescale;
    stapes_rescale convert; /* to the input's type */
    stapes_tensor values;   /* the input (frames, bands) of graph 0 */
    uint32_t value_bytes;   /* 1: int8, 2: int16, 4: float */
    int32_t frames;         /* the window: STAPES_WHISPER_MEL_HOP * frames of PCM, 2 at least */
    /* Memory that is needed until the first kernel runs, each aligned to 4 bytes or more. */
    stapes_tensor history;  /* int16 (STAPES_WHISPER_MEL_FRAME,) */
    stapes_tensor folded;   /* int32 (STAPES_WHISPER_MEL_FOLDED,) */
    stapes_tensor features; /* int16 (frames, bands) */
} stapes_whisper_mel_input;

/* For stapes_speech. The input is written when the window is complete. */
stapes_status stapes_whisper_mel_feed(const stapes_model *model, stapes_context *context,
                                      const int16_t *pcm, size_t samples);
void stapes_whisper_mel_pad(const stapes_model *model, stapes_context *context);

/* Features (bands,) of one frame of PCM (STAPES_WHISPER_MEL_FRAME,). */
void stapes_whisper_mel(const stapes_whisper_mel_params *params, const int16_t *pcm,
                        int32_t *folded, int16_t *features);

#ifdef __cplusplus
}
#endif

#endif
