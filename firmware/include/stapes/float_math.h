/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single-precision functions without a C library: the same bits from every compiler and core that
 * computes in IEEE 754 single precision, is told -ffp-contract=off, and keeps to scalars
 * (-fno-tree-vectorize), since the vectors of Armv8.1-M flush subnormal numbers to zero.
 *
 * Only the bits of a NaN may differ. Errors are the largest over all arguments, in units in the
 * last place (ulp) of the correctly rounded result; tests/kernels/test_float_math.py measures them.
 * The polynomials are minimax fits of degree 5 to 10 whose own error is below 1/50 ulp.
 */
#ifndef STAPES_FLOAT_MATH_H
#define STAPES_FLOAT_MATH_H

#include <stdint.h>

#ifdef __FAST_MATH__
#error "stapes computes the same bits everywhere only without -ffast-math"
#endif

typedef union stapes_float_bits {
    float value;
    uint32_t bits;
} stapes_float_bits;

static inline uint32_t stapes_bits_of(float x) {
    const stapes_float_bits both = {.value = x};
    return both.bits;
}

static inline float stapes_float_of(uint32_t bits) {
    const stapes_float_bits both = {.bits = bits};
    return both.value;
}

/* Values that go into one partial sum. */
enum { STAPES_SUM_BLOCK = 64 };

/* x[0] + x[step] + ... + x[(count - 1) * step], going up: 64 values make a partial sum, partial
 * sums the whole, so that errors grow slowly. */
static inline float stapes_sum_of_floats(const float *x, int32_t count, int32_t step) {
    float sum = 0.0f;
    for (int32_t first = 0; first < count; first += STAPES_SUM_BLOCK) {
        const int32_t end = count - first < STAPES_SUM_BLOCK ? count : first + STAPES_SUM_BLOCK;
        float part = 0.0f;
        for (int32_t i = first; i < end; i++) {
            part += x[i * step];
        }
        sum += part;
    }
    return sum;
}

/* x within lowest ... highest; a NaN stays. */
static inline float stapes_clamp_float(float x, float lowest, float highest) {
    const float raised = x < lowest ? lowest : x;
    return raised > highest ? highest : raised;
}

/* |x| */
static inline float stapes_magnitude(float x) {
    return stapes_float_of(stapes_bits_of(x) & UINT32_C(0x7FFFFFFF));
}

/*
 * exp(x + rest), |rest| <= 0.06, within 1 ulp; 0 below x = -104, infinite above 89.
 *
 * x = n ln 2 + r; exp(r) = 1 + r + r^2 P(r); the power of two in two factors, so that a subnormal
 * result is rounded once. 355/512 * n is exact.
 */
static inline float stapes_exp_of_sum(float x, float rest) {
    if (!(x >= -104.0f)) {
        return x < 0.0f ? 0.0f : x;
    }
    if (x > 89.0f) {
        return stapes_float_of(UINT32_C(0x7F800000));
    }
    const int32_t n = (int32_t)(x * 1.442695f + (x < 0.0f ? -0.5f : 0.5f));
    const float turns = (float)n;
    const float r = x - turns * 0.693359375f + turns * 2.1219444e-4f + rest;
    float p = 0.00019934116f;
    p = p * r + 0.0013951563f;
    p = p * r + 0.008333241f;
    p = p * r + 0.041666273f;
    p = p * r + 0.16666667f;
    p = p * r + 0.5f;
    const float power = 1.0f + (r + r * r * p);
    const int32_t half = n / 2;
    const float first = stapes_float_of((uint32_t)(127 + half) << 23);
    const float second = stapes_float_of((uint32_t)(127 + n - half) << 23);
    return power * first * second;
}

/* exp(x) within 1 ulp. */
static inline float stapes_exp(float x) {
    return stapes_exp_of_sum(x, 0.0f);
}

/*
 * tanh(x) within 1.5 ulp: x + x^3 P(x^2) where |x| < 5/8, else 1 - 2 / (exp(2 |x|) + 1) with x's
 * sign.
 */
static inline float stapes_tanh(float x) {
    const float magnitude = stapes_magnitude(x);
    if (magnitude < 0.625f) {
        const float s = x * x;
        float p = 0.0022759105f;
        p = p * s - 0.008329608f;
        p = p * s + 0.021764755f;
        p = p * s - 0.053958785f;
        p = p * s + 0.13333301f;
        p = p * s - 0.33333334f;
        return x + x * s * p;
    }
    const float y = 1.0f - 2.0f / (stapes_exp(2.0f * magnitude) + 1.0f);
    return x < 0.0f ? -y : y;
}

/* 1 / (1 + exp(-x)) within 2.5 ulp; subnormal results too. */
static inline float stapes_logistic(float x) {
    const float power = stapes_exp(-stapes_magnitude(x));
    return (x < 0.0f ? power : 1.0f) / (1.0f + power);
}

/*
 * P(X <= x) = erfc(-x / sqrt 2) / 2 for standard normal X, within 6 ulp; 0 below x = -14.5.
 *
 * At x = -|x|: exp(-x^2 / 2) * P(q) / (|x| + 3), q = (|x| - 3) / (|x| + 3); x^2 as the exact square
 * of |x|'s first 12 bits and a rest. Above 0: 1 - P(X <= -x).
 */
static inline float stapes_normal_cdf(float x) {
    const float magnitude = stapes_magnitude(x);
    if (!(magnitude < 14.5f)) {
        return x < 0.0f ? 0.0f : 1.0f;
    }
    const float scale = 1.0f / (magnitude + 3.0f);
    const float q = (magnitude - 3.0f) * scale;
    float p = 5.4454948e-05f;
    p = p * q + 0.00013125349f;
    p = p * q - 0.00024475495f;
    p = p * q - 0.0010325239f;
    p = p * q + 0.0010247843f;
    p = p * q + 0.0069693024f;
    p = p * q - 0.010462521f;
    p = p * q - 0.047262687f;
    p = p * q + 0.2300177f;
    p = p * q - 0.509332f;
    p = p * q + 0.7290837f;
    const float head = stapes_float_of(stapes_bits_of(magnitude) & UINT32_C(0xFFFFF000));
    const float rest = (magnitude - head) * (magnitude + head) * -0.5f;
    const float tail = stapes_exp_of_sum(head * head * -0.5f, rest) * (p * scale);
    return x < 0.0f ? tail : 1.0f - tail;
}

/*
 * The square root of x, correctly rounded, in integers alone: bit for bit that of an FPU. A NaN
 * below 0.
 */
static inline float stapes_sqrt(float x) {
    const uint32_t bits = stapes_bits_of(x);
    if (bits - 1U >= UINT32_C(0x7F7FFFFF)) { /* 0, infinite, negative, no number */
        return x == 0.0f || bits == UINT32_C(0x7F800000) ? x
                                                         : stapes_float_of(UINT32_C(0x7FC00000));
    }
    int32_t exponent = (int32_t)(bits >> 23);
    uint32_t rest = bits & UINT32_C(0x007FFFFF);
    if (exponent == 0) {
        const int32_t shift = __builtin_clz((unsigned)rest) - 8;
        rest <<= shift;
        exponent = 1 - shift;
    } else {
        rest |= UINT32_C(0x00800000);
    }
    exponent -= 127;
    /* x = rest * 2^(exponent - 24) with an even exponent, and one bit more than the root needs */
    rest <<= 1 + (exponent & 1);
    uint32_t root = 0;
    uint32_t twice = 0;
    for (uint32_t bit = UINT32_C(1) << 24; bit != 0; bit >>= 1) {
        const uint32_t trial = twice + bit;
        if (trial <= rest) {
            rest -= trial;
            twice = trial + bit;
            root += bit;
        }
        rest <<= 1;
    }
    /* A root is never halfway between two floats: its 25th bit tells how to round. */
    root = (root + (root & 1U)) >> 1;
    return stapes_float_of(root + ((uint32_t)((exponent >> 1) + 126) << 23));
}

/* 1 / sqrt(x) within 1.5 ulp; infinite at 0, a NaN below. */
static inline float stapes_inverse_sqrt(float x) {
    return 1.0f / stapes_sqrt(x);
}

#endif
