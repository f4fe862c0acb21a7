/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix product of each row with weights of 3 or 2 bits, zero point 0, packed by rows. */
#ifndef STAPES_FULLY_CONNECTED_PACKED_H
#define STAPES_FULLY_CONNECTED_PACKED_H

#include "stapes/fully_connected.h"

void stapes_fully_connected_s8_w3(const stapes_fully_connected_params *params, int32_t row0,
                                  int32_t rows, const int8_t *input, const uint8_t *weights,
                                  const int32_t *bias, int8_t *output);
void stapes_fully_connected_s8_w2(const stapes_fully_connected_params *params, int32_t row0,
                                  int32_t rows, const int8_t *input, const uint8_t *weights,
                                  const int32_t *bias, int8_t *output);
void stapes_fully_connected_s16_w3(const stapes_fully_connected_params *params, int32_t row0,
                                   int32_t rows, const int16_t *input, const uint8_t *weights,
                                   const int64_t *bias, int16_t *output);
void stapes_fully_connected_s16_w2(const stapes_fully_connected_params *params, int32_t row0,
                                   int32_t rows, const int16_t *input, const uint8_t *weights,
                                   const int64_t *bias, int16_t *output);
void stapes_fully_connected_f32_w3(const stapes_fully_connected_f32_params *params, int32_t row0,
                                   int32_t rows, const float *input, const uint8_t *weights,
                                   const float *bias, int16_t *scratch, float *output);
void stapes_fully_connected_f32_w2(const stapes_fully_connected_f32_params *params, int32_t row0,
                                   int32_t rows, const float *input, const uint8_t *weights,
                                   const float *bias, int16_t *scratch, float *output);
void stapes_fully_connected_f32_w3_blocks(const stapes_fully_connected_blocks_params *params,
                                          int32_t row0, int32_t rows, const float *input,
                                          const uint8_t *weights, const float *bias,
                                          int16_t *scratch, float *output);
void stapes_fully_connected_f32_w2_blocks(const stapes_fully_connected_blocks_params *params,
                                          int32_t row0, int32_t rows, const float *input,
                                          const uint8_t *weights, const float *bias,
                                          int16_t *scratch, float *output);

#endif
