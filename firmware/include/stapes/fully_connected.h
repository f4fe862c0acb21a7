/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix product of each row with weights of zero point 0. */
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

void stapes_fully_connected_s8(const stapes_fully_connected_params *params, int32_t row0,
                               int32_t rows, const int8_t *input, const int8_t *weights,
                               const int32_t *bias, int8_t *output);
void stapes_fully_connected_s8_w4(const stapes_fully_connected_params *params, int32_t row0,
                                  int32_t rows, const int8_t *input, const uint8_t *weights,
                                  const int32_t *bias, int8_t *output);
void stapes_fully_connected_s16(const stapes_fully_connected_params *params, int32_t row0,
                                int32_t rows, const int16_t *input, const int8_t *weights,
                                const int64_t *bias, int16_t *output);
void stapes_fully_connected_s16_w4(const stapes_fully_connected_params *params, int32_t row0,
                                   int32_t rows, const int16_t *input, const uint8_t *weights,
                                   const int64_t *bias, int16_t *output);

#endif
