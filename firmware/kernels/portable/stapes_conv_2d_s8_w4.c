/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/conv_2d.h"

#include "stapes/dot.h"
#include "stapes/requantize.h"
#include "stapes/window.h"

/*
 * output[y][x][o] = clamp(zero_point + requantize(bias[o] + sum over taps of
 *                   input[y * stride_y - pad_top + ky * dilation_y][...][i] *
 * weights[o][ky][kx][i]))
 *
 * input   int8 [input_height][input_width][input_channels]
 * weights int4 [output_channels][filter_height][filter_width][input_channels], zero point 0,
 *         two a byte, the low bits first
 * bias    int32 [output_channels], less input_zero_point * the sum of the channel's weights
 * output  int8 [...][output_width][output_channels]; rows row0 ... row0 + rows - 1 are written
 *
 * Outside the input, taps read input_zero_point. Every channel's bias and products must sum to
 * less than 2^31 in magnitude. Rounds twice, as stapes_requantize. Output overlaps no input.
 */
void stapes_conv_2d_s8_w4(const stapes_conv_2d_params *params, int32_t row0, int32_t rows,
                          const int8_t *input, const uint8_t *weights, const int32_t *bias,
                          int8_t *output) {
    const stapes_conv_2d_params *p = params;
    const int32_t channels = p->input_channels;
    const int32_t filter_row = p->filter_width * channels;
    const int32_t step_x = p->dilation_x * channels;
    const int32_t step_y = p->dilation_y * p->input_width * channels;
    int8_t *out = output + row0 * p->output_width * p->output_channels;

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
            const int clipped = y.last - y.first < p->filter_height || taps < p->filter_width;
            int32_t w = 0;
            for (int32_t o = 0; o < p->output_channels; o++) {
                int32_t sum = bias[o];
                /* The sum of weights outside the input, where it reads as the zero point. */
                int32_t outside =
                    clipped ? stapes_sum_w4(weights, w, p->filter_height * filter_row) : 0;
                int32_t from = first;
                int32_t at = skipped;
                for (int32_t ky = y.first; ky < y.last; ky++) {
                    for (int32_t run = 0; run < runs; run++) {
                        if (clipped) {
                            outside -= stapes_sum_w4(weights, w + at + run * channels, length);
                        }
                        sum += stapes_dot_s8_w4(input + from + run * step_x, weights,
                                                w + at + run * channels, length);
                    }
                    from += step_y;
                    at += filter_row;
                }
                sum += p->input_zero_point * outside;
                sum = stapes_requantize(sum, p->multipliers[o], p->shifts[o]);
                *out++ = (int8_t)stapes_offset_clamp(sum, p->output_zero_point, p->output_min,
                                                     p->output_max);
                w += p->filter_height * filter_row;
            }
        }
    }
}
