/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix product of each row with weights of zero point 0: int8, or packed as stapes/packed.h has
 * them. */
#ifndef STAPES_FULLY_CONNECTED_H
#define STAPES_FULLY_CONNECTED_H

#include <stdint.h>

typedef struct stapes_fully_connected_params {
    int32_t input_depth;
    int32_t output_depth;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    const uint64_t *scales; /* [output_depth], the bits of IEEE 754 doubles */
} stapes_fully_connected_params;

typedef struct stapes_fully_connected_f32_params {
    int32_t input_depth;
    int32_t output_depth;
    float output_min;
    float output_max;
    const float *scales; /* [output_depth], of the weights */
} stapes_fully_connected_f32_params;

typedef struct stapes_fully_connected_blocks_params {
    int32_t input_depth;
    int32_t output_depth;
    int32_t block_size;
    float output_min;
    float output_max;
    const uint16_t
        *scales; /* [output_depth][input_depth / block_size], the upper halves of floats */
} stapes_fully_connected_blocks_params;

/* Rows that share the unpacking of weights. */
enum { STAPES_HYBRID_ROWS = 4 };

void stapes_fully_connected_s8(const stapes_fully_connected_params *params, int32_t row0,
                               int32_t rows, const int8_t *input, const int8_t *weights,
                               const int32_t *bias, int8_t *output);
void stapes_fully_connected_s8_w4(const stapes_fully_connected_params *params, int32_t row0,
                                  int32_t rows, const int8_t *input, const uint8_t *weights,
                                  const int32_t *bias, int8_t *output);
void stapes_fully_connected_s8_w3(const stapes_fully_connected_params *params, int32_t row0,
                                  int32_t rows, const int8_t *input, const uint8_t *weights,
                                  const int32_t *bias, int8_t *output);
void stapes_fully_connected_s8_w2(const stapes_fully_connected_params *params, int32_t row0,
                                  int32_t rows, const int8_t *input, const uint8_t *weights,
                                  const int32_t *bias, int8_t *output);
void stapes_fully_connected_s16(const stapes_fully_connected_params *params, int32_t row0,
                                int32_t rows, const int16_t *input, const int8_t *weights,
                                const int64_t *bias, int16_t *output);
void stapes_fully_connected_s16_w4(const stapes_fully_connected_params *params, int32_t row0,
                                   int32_t rows, const int16_t *input, const uint8_t *weights,
                                   const int64_t *bias, int16_t *output);
void stapes_fully_connected_s16_w3(const stapes_fully_connected_params *params, int32_t row0,
                                   int32_t rows, const int16_t *input, const uint8_t *weights,
                                   const int64_t *bias, int16_t *output);
void stapes_fully_connected_s16_w2(const stapes_fully_connected_params *params, int32_t row0,
                                   int32_t rows, const int16_t *input, const uint8_t *weights,
                                   const int64_t *bias, int16_t *output);
void stapes_fully_connected_f32_w8(const stapes_fully_connected_f32_params *params, int32_t row0,
                                   int32_t rows, const float *input, const int8_t *weights,
                                   const float *bias, int16_t *scratch, float *output);
void stapes_fully_connected_f32_w4(const stapes_fully_connected_f32_params *params, int32_t row0,
                                   int32_t rows, const float *input, const uint8_t *weights,
                                   const float *bias, int16_t *scratch, float *output);
void stapes_fully_connected_f32_w3(const stapes_fully_connected_f32_params *params, int32_t row0,
                                   int32_t rows, const float *input, const uint8_t *weights,
                                   const float *bias, int16_t *scratch, float *output);
void stapes_fully_connected_f32_w2(const stapes_fully_connected_f32_params *params, int32_t row0,
                                   int32_t rows, const float *input, const uint8_t *weights,
                                   const float *bias, int16_t *scratch, float *output);
void stapes_fully_connected_f32_w4_blocks(const stapes_fully_connected_blocks_params *params,
                                          int32_t row0, int32_t rows, const float *input,
                                          const uint8_t *weights, const float *bias,
                                          int16_t *scratch, float *output);
void stapes_fully_connected_f32_w3_blocks(const stapes_fully_connected_blocks_params *params,
                                          int32_t row0, int32_t rows, const float *input,
                                          const uint8_t *weights, const float *bias,
                                          int16_t *scratch, float *output);
void stapes_fully_connected_f32_w2_blocks(const stapes_fully_connected_blocks_params *params,
                                          int32_t row0, int32_t rows, const float *input,
                                          const uint8_t *weights, const float *bias,
                                          int16_t *scratch, float *output);

#endif
