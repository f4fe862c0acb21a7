/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/whisper_mel.h"

#include "stapes/log2.h"

#define LENGTH STAPES_WHISPER_MEL_FRAME
#define HALF (LENGTH / 2)
#define QUARTER (LENGTH / 4)
#define SPECTRUM_SHIFT 31 /* Q15 samples by Q24 sines to Q8 */

/* Windowed sums and differences of the samples that lie alike about the middle. */
static void fold(const int16_t *window, const int16_t *pcm, int32_t *sums, int32_t *differences) {
    sums[0] = 0; /* the window starts with 0 */
    differences[0] = 0;
    for (int32_t n = 1; n < HALF; n++) {
        sums[n] = window[n] * (pcm[n] + pcm[LENGTH - n]);
        differences[n] = window[n] * (pcm[n] - pcm[LENGTH - n]);
    }
    sums[HALF] = window[HALF] * pcm[HALF];
    differences[HALF] = 0;
}

static int64_t rounded(int64_t sum) {
    return (sum + ((int64_t)1 << (SPECTRUM_SHIFT - 1))) >> SPECTRUM_SHIFT;
}

/* |X[k]|^2 in Q16. */
static uint64_t power_of(const int32_t *sine, const int32_t *sums, const int32_t *differences,
                         int32_t k) {
    int64_t re = 0;
    int64_t im = 0;
    int32_t turn = 0;
    for (int32_t n = 0; n <= HALF; n++) {
        re += (int64_t)sums[n] * sine[turn + QUARTER];
        im += (int64_t)differences[n] * sine[turn];
        turn += k;
        turn -= turn < LENGTH ? 0 : LENGTH;
    }
    re = rounded(re);
    im = rounded(im);
    return (uint64_t)(re * re + im * im);
}

/*
 * Whisper's log-mel features of one frame, in integers only: a discrete Fourier transform of 400
 * points, each bin by itself, over samples that are folded about the middle of the window.
 *
 *   s[n], d[n] = window[n] * (pcm[n] +- pcm[400 - n])   n = 1 .. 199; s[200] = window[200] pcm[200]
 *   re, im     = sum of s[n] cos(2 pi n k / 400), of d[n] sin(...), rounded half up to Q8
 *   P[k]       = re^2 + im^2                            (Q16), k = 0 .. 199
 *   E[b]       = sum of P[k] * triangle[b][k], the rising part of each product rounded down
 *   out[b]     = max(0, 512 * log2(E[b] * height[b] / 1e-10)), full scale being 1
 *
 * pcm (400,) int16; folded scratch (STAPES_WHISPER_MEL_FOLDED,) int32; features (bands,) int16.
 * Every input is legal: |s|, |d| < 2^31, sums below 2^62, energies too. Shifts of negative numbers
 * are arithmetic. Nothing may overlap.
 */
void stapes_whisper_mel(const stapes_whisper_mel_params *params, const int16_t *pcm,
                        int32_t *folded, int16_t *features) {
    int32_t *const differences = folded + HALF + 1;
    fold(params->window, pcm, folded, differences);

    /* Slope b rises in band b and falls, with the rest of each bin's power, in band b - 1. */
    uint64_t risen = 0;
    for (int32_t slope = 0; slope <= params->bands; slope++) {
        uint64_t rise = 0;
        uint64_t all = 0;
        for (int32_t k = params->starts[slope]; k < params->starts[slope + 1]; k++) {
            const uint64_t power = power_of(params->sine, folded, differences, k);
            const uint32_t weight = params->rises[k];
            all += power;
            rise += (power >> 15) * weight + (((power & 32767u) * weight) >> 15);
        }
        if (slope > 0) {
            const uint64_t energy = risen + (all - rise);
            const int32_t log = stapes_log2_q15(params->log2, energy == 0 ? 1 : energy);
            const int32_t value = (log + params->heights[slope - 1] + 32) >> 6;
            features[slope - 1] = (int16_t)(value < 0 ? 0 : value);
        }
        risen = rise;
    }
}
