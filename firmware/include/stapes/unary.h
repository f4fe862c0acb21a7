/* SPDX-License-Identifier: Apache-2.0 */
/* Functions of one value: by a table, or a change of scale. */
#ifndef STAPES_UNARY_H
#define STAPES_UNARY_H

#include <stdint.h>

typedef struct stapes_lookup_params {
    int32_t columns;
    const int8_t *table; /* [256], of -128 ... 127 */
} stapes_lookup_params;

typedef struct stapes_lookup_s16_params {
    int32_t columns;
    const int16_t *table; /* [513], of -32768, -32640 ... 32768 */
} stapes_lookup_s16_params;

typedef struct stapes_quantize_params {
    int32_t columns;
    int32_t input_zero_point;
    int32_t multiplier;
    int32_t shift;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
} stapes_quantize_params;

typedef struct stapes_unary_f32_params {
    int32_t columns;
} stapes_unary_f32_params;

typedef struct stapes_clamp_params {
    int32_t columns;
    float output_min;
    float output_max;
} stapes_clamp_params;

void stapes_lookup_s8(const stapes_lookup_params *params, int32_t row0, int32_t rows,
                      const int8_t *input, int8_t *output);
void stapes_lookup_s16(const stapes_lookup_s16_params *params, int32_t row0, int32_t rows,
                       const int16_t *input, int16_t *output);
void stapes_quantize_s8_s16(const stapes_quantize_params *params, int32_t row0, int32_t rows,
                            const int8_t *input, int16_t *output);
void stapes_quantize_s16_s8(const stapes_quantize_params *params, int32_t row0, int32_t rows,
                            const int16_t *input, int8_t *output);
void stapes_quantize_s16(const stapes_quantize_params *params, int32_t row0, int32_t rows,
                         const int16_t *input, int16_t *output);
void stapes_clamp_f32(const stapes_clamp_params *params, int32_t row0, int32_t rows,
                      const float *input, float *output);
void stapes_gelu_f32(const stapes_unary_f32_params *params, int32_t row0, int32_t rows,
                     const float *input, float *output);
void stapes_gelu_tanh_f32(const stapes_unary_f32_params *params, int32_t row0, int32_t rows,
                          const float *input, float *output);
void stapes_logistic_f32(const stapes_unary_f32_params *params, int32_t row0, int32_t rows,
                         const float *input, float *output);
void stapes_rsqrt_f32(const stapes_unary_f32_params *params, int32_t row0, int32_t rows,
                      const float *input, float *output);
void stapes_tanh_f32(const stapes_unary_f32_params *params, int32_t row0, int32_t rows,
                     const float *input, float *output);

#endif
