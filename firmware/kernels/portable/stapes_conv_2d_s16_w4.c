/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/conv_2d.h"

#include "stapes/dot.h"
#include "stapes/requantize.h"
#include "stapes/window.h"

/*
 * output[y][x][o] = clamp(requantize(bias[o] + sum over taps inside the input of
 *                   input[y * stride_y - pad_top + ky * dilation_y][...][i] *
 * weights[o][ky][kx][i]))
 *
 * input   int16 [input_height][input_width][input_channels], zero point 0
 * weights int4 [output_channels][filter_height][filter_width][input_channels], zero point 0,
 *         two a byte, the low bits first
 * bias    int64 [output_channels]
 * output  int16 [...][output_width][output_channels], zero point 0; rows row0 ... row0 + rows - 1
 *         are written
 *
 * Every channel's bias and products must sum to less than 2^47 in magnitude. Multipliers have 15
 * bits; rounds once, as stapes_requantize_wide. Output overlaps no input.
 */
void stapes_conv_2d_s16_w4(const stapes_conv_2d_params *params, int32_t row0, int32_t rows,
                           const int16_t *input, const uint8_t *weights, const int64_t *bias,
                           int16_t *output) {
    const stapes_conv_2d_params *p = params;
    const int32_t channels = p->input_channels;
    const int32_t filter_row = p->filter_width * channels;
    const int32_t step_x = p->dilation_x * channels;
    const int32_t step_y = p->dilation_y * p->input_width * channels;
    int16_t *out = output + row0 * p->output_width * p->output_channels;

    for (int32_t oy = row0; oy < row0 + rows; oy++) {
        const stapes_taps y = stapes_clip_taps(oy * p->stride_y - p->pad_top, p->filter_height,
                                               p->dilation_y, p->input_height);
        for (int32_t ox = 0; ox < p->output_width; ox++) {
            const stapes_taps x = stapes_clip_taps(ox * p->stride_x - p->pad_left, p->filter_width,
                                                   p->dilation_x, p->input_width);
            /* Where the first tap inside reads, and its place in the filter. */
            const int32_t row = y.origin + y.first * p->dilation_y;
            const int32_t column = x.origin + x.first * p->dilation_x;
            const int32_t first = (row * p->input_width + column) * channels;
            const int32_t skipped = y.first * filter_row + x.first * channels;
            /* Neighbouring taps are contiguous in the input unless it is dilated. */
            const int32_t taps = x.last - x.first;
            const int32_t runs = p->dilation_x == 1 ? 1 : taps;
            const int32_t length = p->dilation_x == 1 ? taps * channels : channels;
            int32_t w = 0;
            for (int32_t o = 0; o < p->output_channels; o++) {
                int64_t sum = bias[o];
                int32_t from = first;
                int32_t at = skipped;
                for (int32_t ky = y.first; ky < y.last; ky++) {
                    for (int32_t run = 0; run < runs; run++) {
                        sum += stapes_dot_s16_w4(input + from + run * step_x, weights,
                                                 w + at + run * channels, length);
                    }
                    from += step_y;
                    at += filter_row;
                }
                *out++ = (int16_t)stapes_clamp(
                    stapes_requantize_wide(sum, p->multipliers[o], p->shifts[o]), p->output_min,
                    p->output_max);
                w += p->filter_height * filter_row;
            }
        }
    }
}
