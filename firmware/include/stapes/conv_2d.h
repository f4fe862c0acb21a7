/* SPDX-License-Identifier: Apache-2.0 */
/* 2-D convolution, weights per output channel with zero point 0. */
#ifndef STAPES_CONV_2D_H
#define STAPES_CONV_2D_H

#include <stdint.h>

typedef struct stapes_conv_2d_params {
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels;
    int32_t output_width;
    int32_t filter_height;
    int32_t filter_width;
    int32_t stride_y;
    int32_t stride_x;
    int32_t pad_top;
    int32_t pad_left;
    int32_t dilation_y;
    int32_t dilation_x;
    int32_t output_channels;
    int32_t input_zero_point;
    int32_t output_zero_point;
    int32_t output_min;
    int32_t output_max;
    const int32_t *multipliers; /* [output_channels] */
    const int8_t *shifts;       /* [output_channels] */
} stapes_conv_2d_params;

typedef struct stapes_conv_2d_f32_params {
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels;
    int32_t output_width;
    int32_t filter_height;
    int32_t filter_width;
    int32_t stride_y;
    int32_t stride_x;
    int32_t pad_top;
    int32_t pad_left;
    int32_t dilation_y;
    int32_t dilation_x;
    int32_t output_channels;
    float output_min;
    float output_max;
    const float *scales; /* [output_channels], of the weights */
} stapes_conv_2d_f32_params;

void stapes_conv_2d_s8(const stapes_conv_2d_params *params, int32_t row0, int32_t rows,
                       const int8_t *input, const int8_t *weights, const int32_t *bias,
                       int8_t *output);
void stapes_conv_2d_s8_w4(const stapes_conv_2d_params *params, int32_t row0, int32_t rows,
                          const int8_t *input, const uint8_t *weights, const int32_t *bias,
                          int8_t *output);
void stapes_conv_2d_s16(const stapes_conv_2d_params *params, int32_t row0, int32_t rows,
                        const int16_t *input, const int8_t *weights, const int64_t *bias,
                        int16_t *output);
void stapes_conv_2d_s16_w4(const stapes_conv_2d_params *params, int32_t row0, int32_t rows,
                           const int16_t *input, const uint8_t *weights, const int64_t *bias,
                           int16_t *output);
void stapes_conv_2d_f32_w8(const stapes_conv_2d_f32_params *params, int32_t row0, int32_t rows,
                           const float *input, const int8_t *weights, const float *bias,
                           int16_t *scratch, float *output);
void stapes_conv_2d_f32_weight_only(const stapes_conv_2d_f32_params *params, int32_t row0,
                                    int32_t rows, const float *input, const int8_t *weights,
                                    const float *bias, float *scratch, float *output);

#endif
