/* SPDX-License-Identifier: Apache-2.0 */
/* Softmax over the last dimension. */
#ifndef STAPES_SOFTMAX_H
#define STAPES_SOFTMAX_H

#include <stdint.h>

typedef struct stapes_softmax_s8_params {
    int32_t depth;
    const int32_t *exponentials; /* [256], exp(-scale * difference) with 31 fraction bits */
} stapes_softmax_s8_params;

typedef struct stapes_softmax_s16_params {
    int32_t depth;
    int32_t multiplier; /* of a difference, to 65535 steps over -10 ... 0 */
    int32_t shift;
    const int16_t *exponentials; /* [513], exp(x) over -10 ... 0, 15 fraction bits */
    const int16_t *reciprocals;  /* [513], 1 / (1 + x) over 0 ... 1, 15 fraction bits */
} stapes_softmax_s16_params;

typedef struct stapes_softmax_f32_params {
    int32_t depth;
    float beta;
} stapes_softmax_f32_params;

void stapes_softmax_s8(const stapes_softmax_s8_params *params, int32_t row0, int32_t rows,
                       const int8_t *input, int8_t *output);
void stapes_softmax_s16(const stapes_softmax_s16_params *params, int32_t row0, int32_t rows,
                        const int16_t *input, int16_t *output);
void stapes_softmax_f32(const stapes_softmax_f32_params *params, int32_t row0, int32_t rows,
                        const float *input, float *output);

#endif
