/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/log_mel.h"

#include "stapes/log2.h"

#define POINTS 256
#define CIRCLE 512
#define TWIDDLE_BITS 30
#define FLOOR_LOG2 26

typedef struct complex32 {
    int32_t re;
    int32_t im;
} complex32;

static int32_t sine(const int32_t *quarter, int32_t n) {
    const int32_t half = n & (CIRCLE / 2 - 1);
    const int32_t value = quarter[half <= CIRCLE / 4 ? half : CIRCLE / 2 - half];
    return (n & (CIRCLE / 2)) != 0 ? -value : value;
}

/* exp(-2 pi i n / 512) in Q30. */
static complex32 twiddle(const int32_t *quarter, int32_t n) {
    const complex32 w = {sine(quarter, n + CIRCLE / 4), -sine(quarter, n)};
    return w;
}

static int32_t rounded(int64_t product) {
    return (int32_t)((product + ((int64_t)1 << (TWIDDLE_BITS - 1))) >> TWIDDLE_BITS);
}

static complex32 rotate(int32_t re, int32_t im, complex32 w) {
    if (w.im == 0) { /* a third of the butterflies: w is 1, never -1 */
        const complex32 same = {re, im};
        return same;
    }
    const complex32 z = {rounded((int64_t)re * w.re - (int64_t)im * w.im),
                         rounded((int64_t)im * w.re + (int64_t)re * w.im)};
    return z;
}

/* Pack the windowed samples, Q6, as complex points in base-4 digit-reversed order. */
static void load(const stapes_log_mel_params *params, const int16_t *pcm, int32_t *spectrum) {
    const int32_t length = params->frame_samples;
    for (int32_t n = 0; n < POINTS; n++) {
        const int32_t reversed =
            ((n & 3) << 6) | ((n & 12) << 2) | ((n >> 2) & 12) | ((n >> 6) & 3);
        for (int32_t part = 0; part < 2; part++) {
            const int32_t i = 2 * n + part;
            int32_t y = 0;
            if (i < length) {
                y = (pcm[i] * params->window[i <= length / 2 ? i : length - i] + 256) >> 9;
            }
            spectrum[2 * reversed + part] = y;
        }
    }
}

static void butterfly(int32_t *x, int32_t span, const complex32 *w) {
    int32_t *const x1 = x + 2 * span;
    int32_t *const x2 = x + 4 * span;
    int32_t *const x3 = x + 6 * span;
    const complex32 a = rotate(x1[0], x1[1], w[0]);
    const complex32 b = rotate(x2[0], x2[1], w[1]);
    const complex32 c = rotate(x3[0], x3[1], w[2]);
    const complex32 t0 = {x[0] + b.re, x[1] + b.im};
    const complex32 t1 = {x[0] - b.re, x[1] - b.im};
    const complex32 t2 = {a.re + c.re, a.im + c.im};
    const complex32 t3 = {a.re - c.re, a.im - c.im};
    x[0] = t0.re + t2.re;
    x[1] = t0.im + t2.im;
    x1[0] = t1.re + t3.im;
    x1[1] = t1.im - t3.re;
    x2[0] = t0.re - t2.re;
    x2[1] = t0.im - t2.im;
    x3[0] = t1.re - t3.im;
    x3[1] = t1.im + t3.re;
}

static void transform(const int32_t *quarter, int32_t *spectrum) {
    for (int32_t span = 1; span < POINTS; span *= 4) {
        for (int32_t k = 0; k < span; k++) {
            const int32_t step = k * (CIRCLE / 4 / span);
            const complex32 w[3] = {twiddle(quarter, step), twiddle(quarter, 2 * step),
                                    twiddle(quarter, 3 * step)};
            for (int32_t first = k; first < POINTS; first += 4 * span) {
                butterfly(spectrum + 2 * first, span, w);
            }
        }
    }
}

/* From the packed transform to twice the spectrum of the real samples, bins 1 .. 255. */
static void split(const int32_t *quarter, int32_t *spectrum) {
    for (int32_t k = 1; k <= POINTS / 2; k++) {
        int32_t *const low = spectrum + 2 * k;
        int32_t *const high = spectrum + 2 * (POINTS - k);
        const complex32 even = {low[0] + high[0], low[1] - high[1]};
        const complex32 odd = rotate(low[1] + high[1], high[0] - low[0], twiddle(quarter, k));
        high[0] = even.re - odd.re;
        high[1] = odd.im - even.im;
        low[0] = even.re + odd.re;
        low[1] = even.im + odd.im;
    }
}

/* 512 * (log2(energy) - FLOOR_LOG2). */
static int16_t log2_q9(const uint16_t *table, uint64_t energy) {
    return (int16_t)(((stapes_log2_q15(table, energy) + 32) >> 6) - FLOOR_LOG2 * 512);
}

/*
 * Log-mel features of one frame, in integers only.
 *
 *   y[n]    = (pcm[n] * window[n] + 2^8) >> 9                          (Q6)
 *   Y       = real FFT of y, 512 points: radix-4, decimation in time, packed in 256 complex
 *             points; each product with a twiddle rounds half up to an integer, nothing scales
 *   P[k]    = (re(2Y[k])^2 + im(2Y[k])^2) >> 10                        (Q4 of the power)
 *   E[b]    = sum of P[k] * triangle[b][k] + 2^26                      (triangles in Q12)
 *   out[b]  = 512 * (log2(E[b]) - 26): 0 for digital silence
 *
 * pcm (frame_samples,) int16; spectrum scratch (STAPES_LOG_MEL_SPECTRUM,) int32; features
 * (bands,) int16, 0 .. 18432. Every input is legal: |2Y| < 2^31 because a window of at most 512
 * samples sums to at most 256. Bins 0 and 256 carry no weight. Shifts of negative numbers are
 * arithmetic. Nothing may overlap.
 */
void stapes_log_mel(const stapes_log_mel_params *params, const int16_t *pcm, int32_t *spectrum,
                    int16_t *features) {
    load(params, pcm, spectrum);
    transform(params->sine, spectrum);
    split(params->sine, spectrum);

    /* Slope b rises in band b and falls, with the rest of each bin's weight, in band b - 1. */
    const uint16_t *rises = params->rises;
    uint64_t risen = 0;
    for (int32_t slope = 0; slope <= params->bands; slope++) {
        uint64_t rise = 0;
        uint64_t all = 0;
        for (int32_t k = params->starts[slope]; k < params->starts[slope + 1]; k++) {
            const int64_t re = spectrum[2 * k];
            const int64_t im = spectrum[2 * k + 1];
            const uint64_t power = (uint64_t)(re * re + im * im) >> 10;
            all += power;
            rise += power * *rises++;
        }
        if (slope > 0) {
            const uint64_t energy = risen + ((all << 12) - rise);
            features[slope - 1] = log2_q9(params->log2, energy + ((uint64_t)1 << FLOOR_LOG2));
        }
        risen = rise;
    }
}
