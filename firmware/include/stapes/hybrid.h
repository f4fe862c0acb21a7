/* SPDX-License-Identifier: Apache-2.0 */
/*
 * float activations made int8 while the model runs, for products with integer weights.
 *
 * The range of the values and 0 becomes -128 ... 127, as XNNPACK's qd8 does it. What is stored is
 * the value less the zero point, from -255 to 255, so that products need no correction.
 */
#ifndef STAPES_HYBRID_H
#define STAPES_HYBRID_H

#include <stdint.h>

#include "stapes/float_math.h"

typedef struct stapes_range {
    float least;
    float greatest;
} stapes_range;

/* value = scale * (quantized - zero_point), quantized = round(value * inverse) + zero_point */
typedef struct stapes_affine {
    float scale;
    float inverse;
    int32_t zero_point;
} stapes_affine;

/* x rounded to the nearest integer, halves to even. |x| <= 2^22. */
static inline int32_t stapes_round_float(float x) {
    /* At 1.5 * 2^23 the last bit of a float counts 1. */
    return (int32_t)(stapes_bits_of(x + 12582912.0f) - UINT32_C(0x4B400000));
}

/* The range of `count` values and 0; a NaN counts for nothing. */
static inline stapes_range stapes_range_of(const float *x, int32_t count) {
    float least[8] = {0.0f};
    float greatest[8] = {0.0f};
    int32_t i = 0;
    for (; i < count - 7; i += 8) {
        for (int32_t lane = 0; lane < 8; lane++) {
            const float value = x[i + lane];
            least[lane] = value < least[lane] ? value : least[lane];
            greatest[lane] = value > greatest[lane] ? value : greatest[lane];
        }
    }
    for (; i < count; i++) {
        least[0] = x[i] < least[0] ? x[i] : least[0];
        greatest[0] = x[i] > greatest[0] ? x[i] : greatest[0];
    }
    stapes_range range = {0.0f, 0.0f};
    for (int32_t lane = 0; lane < 8; lane++) {
        range.least = least[lane] < range.least ? least[lane] : range.least;
        range.greatest = greatest[lane] > range.greatest ? greatest[lane] : range.greatest;
    }
    return range;
}

/* The quantization under which the range just fits; of the two ends, the one that needs the larger
 * correction lies on an integer. */
static inline stapes_affine stapes_affine_of(stapes_range range) {
    stapes_affine affine = {1.0f, 1.0f, 0};
    if (range.least < range.greatest) {
        affine.inverse = 255.0f / (range.greatest - range.least);
        affine.scale = 1.0f / affine.inverse;
    }
    const float low = range.least * affine.inverse;
    const float high = range.greatest * affine.inverse;
    const float zero = (low - 128.0f) + (high + 127.0f) > 0.0f ? -128.0f - low : 127.0f - high;
    /* Also without a finite range: a NaN becomes -128. */
    const float raised = zero > -128.0f ? zero : -128.0f;
    affine.zero_point = stapes_round_float(raised < 127.0f ? raised : 127.0f);
    return affine;
}

/* quantized[i] = x[i] quantized, less the zero point. */
static inline void stapes_quantize_floats(stapes_affine affine, const float *x, int32_t count,
                                          int16_t *quantized) {
    const int32_t lowest = -128 - affine.zero_point;
    const int32_t highest = 127 - affine.zero_point;
    for (int32_t i = 0; i < count; i++) {
        const float scaled = x[i] * affine.inverse;
        const float raised = scaled > -512.0f ? scaled : -512.0f;
        const int32_t rounded = stapes_round_float(raised < 512.0f ? raised : 512.0f);
        const int32_t least = rounded < lowest ? lowest : rounded;
        quantized[i] = (int16_t)(least > highest ? highest : least);
    }
}

/* A row quantized by its own range; returns the scale. */
static inline float stapes_quantize_row(const float *x, int32_t count, int16_t *quantized) {
    const stapes_affine affine = stapes_affine_of(stapes_range_of(x, count));
    stapes_quantize_floats(affine, x, count, quantized);
    return affine.scale;
}

#endif
