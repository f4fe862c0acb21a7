/* SPDX-License-Identifier: Apache-2.0 */
/* Average and maximum over sliding windows. */
#ifndef STAPES_POOL_2D_H
#define STAPES_POOL_2D_H

#include <stdint.h>

typedef struct stapes_pool_2d_params {
    int32_t input_height;
    int32_t input_width;
    int32_t channels;
    int32_t output_width;
    int32_t filter_height;
    int32_t filter_width;
    int32_t stride_y;
    int32_t stride_x;
    int32_t pad_top;
    int32_t pad_left;
    int32_t output_min;
    int32_t output_max;
} stapes_pool_2d_params;

void stapes_average_pool_2d_s8(const stapes_pool_2d_params *params, int32_t row0, int32_t rows,
                               const int8_t *input, int8_t *output);
void stapes_average_pool_2d_s16(const stapes_pool_2d_params *params, int32_t row0, int32_t rows,
                                const int16_t *input, int16_t *output);
void stapes_max_pool_2d_s8(const stapes_pool_2d_params *params, int32_t row0, int32_t rows,
                           const int8_t *input, int8_t *output);
void stapes_max_pool_2d_s16(const stapes_pool_2d_params *params, int32_t row0, int32_t rows,
                            const int16_t *input, int16_t *output);

#endif
