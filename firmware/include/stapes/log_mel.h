/* SPDX-License-Identifier: Apache-2.0 */
/* Log-mel features of 16-bit PCM in integers, and their way into a network's input. */
#ifndef STAPES_LOG_MEL_H
#define STAPES_LOG_MEL_H

#include <stddef.h>
#include <stdint.h>

#include "stapes/stapes.h"

#ifdef __cplusplus
extern "C" {
#endif

/* int32 values of scratch that stapes_log_mel needs. */
#define STAPES_LOG_MEL_SPECTRUM 512

typedef struct stapes_log_mel_params {
    const int16_t *window;  /* Q15: samples 0 .. frame_samples / 2 of a symmetric window */
    const int32_t *sine;    /* Q30: sin(2 pi n / 512), n = 0 .. 128 */
    const uint16_t *log2;   /* Q15: log2(1 + n / 64), n = 0 .. 64 */
    const uint16_t *starts; /* first bin of each of the bands + 1 slopes, and the end: bands + 2 */
    const uint16_t *rises;  /* Q12: weight of a bin in the band that rises there, from starts[0] */
    int32_t frame_samples;  /* even, 2 .. 512 */
    int32_t hop_samples;    /* 1 .. frame_samples */
    int32_t bands;
} stapes_log_mel_params;

typedef struct stapes_rescale_params {
    int64_t offset;
    int32_t multiplier;
    int32_t shift; /* 0 .. 62 */
    float scale;   /* of a float input, which has no use for the others */
    float bias;
} stapes_rescale_params;

/* stapes_rescale_s8, stapes_rescale_s16 or stapes_rescale_f32. */
typedef void (*stapes_rescale)(const stapes_rescale_params *params, const int16_t *features,
                               int32_t count, void *output);

/* A network's input of log-mel frames. */
typedef struct stapes_log_mel_input {
    stapes_log_mel_params params;
    stapes_rescale_params rescale;
    stapes_rescale convert; /* to the input's type */
    stapes_tensor values;   /* the input (frames, bands) of graph 0 */
    uint32_t value_bytes;   /* 1: int8, 2: int16, 4: float */
    int32_t frames;         /* the window: hop_samples * (frames - 1) + frame_samples of PCM */
    /* Memory that is needed until the first kernel runs, each aligned to 4 bytes or more. */
    stapes_tensor history;  /* int16 (frame_samples,) */
    stapes_tensor spectrum; /* int32 (STAPES_LOG_MEL_SPECTRUM,) */
    stapes_tensor features; /* int16 (bands,) */
} stapes_log_mel_input;

/* For stapes_speech. An incomplete last frame is left out. */
stapes_status stapes_log_mel_feed(const stapes_model *model, stapes_context *context,
                                  const int16_t *pcm, size_t samples);
void stapes_log_mel_pad(const stapes_model *model, stapes_context *context);

/* Features (bands,) of one frame of PCM (frame_samples,). */
void stapes_log_mel(const stapes_log_mel_params *params, const int16_t *pcm, int32_t *spectrum,
                    int16_t *features);

/* output[i] = clamp((features[i] * multiplier + offset) >> shift), of int8_t or int16_t. */
void stapes_rescale_s8(const stapes_rescale_params *params, const int16_t *features, int32_t count,
                       void *output);
void stapes_rescale_s16(const stapes_rescale_params *params, const int16_t *features, int32_t count,
                        void *output);

/* output[i] = features[i] * scale + bias, of float. */
void stapes_rescale_f32(const stapes_rescale_params *params, const int16_t *features, int32_t count,
                        void *output);

#ifdef __cplusplus
}
#endif

#endif
