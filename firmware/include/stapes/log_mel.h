/* SPDX-License-Identifier: Apache-2.0 */
/* Log-mel features of 16-bit PCM in integers, and their way into a network's input. */
#ifndef STAPES_LOG_MEL_H
#define STAPES_LOG_MEL_H

#include <stdint.h>

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
    int32_t shift; /* 1 .. 62 */
} stapes_rescale_params;

/* Features (bands,) of one frame of PCM (frame_samples,). */
void stapes_log_mel(const stapes_log_mel_params *params, const int16_t *pcm, int32_t *spectrum,
                    int16_t *features);

/* output[i] = clamp((features[i] * multiplier + offset) >> shift). */
void stapes_rescale_s8(const stapes_rescale_params *params, const int16_t *features, int32_t count,
                       int8_t *output);
void stapes_rescale_s16(const stapes_rescale_params *params, const int16_t *features, int32_t count,
                        int16_t *output);

#ifdef __cplusplus
}
#endif

#endif
