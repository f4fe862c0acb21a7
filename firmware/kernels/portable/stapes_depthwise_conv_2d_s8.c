/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/depthwise_conv_2d.h"

#include "stapes/requantize.h"
#include "stapes/window.h"

/*
 * output[y][x][o] = clamp(zero_point + requantize(bias[o] + sum over taps of
 *                   input[y * stride_y - pad_top + ky * dilation_y][...][o / depth_multiplier] *
 *                   weights[ky][kx][o]))
 *
 * input   int8 [input_height][input_width][input_channels]
 * weights int8 [filter_height][filter_width][channels], zero point 0, where channels is
 *         input_channels * depth_multiplier
 * bias    int32 [channels], less input_zero_point * the sum of the channel's weights
 * output  int8 [...][output_width][channels]; rows row0 ... row0 + rows - 1 are written
 *
 * Outside the input, taps read input_zero_point. Every channel's bias and products must sum to
 * less than 2^31 in magnitude. Rounds twice, as stapes_requantize. Output overlaps no input.
 */
void stapes_depthwise_conv_2d_s8(const stapes_depthwise_conv_2d_params *params, int32_t row0,
                                 int32_t rows, const int8_t *input, const int8_t *weights,
                                 const int32_t *bias, int8_t *output) {
    const stapes_depthwise_conv_2d_params *p = params;
    const int32_t channels = p->input_channels * p->depth_multiplier;
    const int32_t step_x = p->dilation_x * p->input_channels;
    const int32_t step_y = p->dilation_y * p->input_width * p->input_channels;
    int8_t *out = output + row0 * p->output_width * channels;

    for (int32_t oy = row0; oy < row0 + rows; oy++) {
        const stapes_taps y = stapes_clip_taps(oy * p->stride_y - p->pad_top, p->filter_height,
                                               p->dilation_y, p->input_height);
        for (int32_t ox = 0; ox < p->output_width; ox++) {
            const stapes_taps x = stapes_clip_taps(ox * p->stride_x - p->pad_left, p->filter_width,
                                                   p->dilation_x, p->input_width);
            /* Where the first tap inside reads, and its place in the filter. */
            const int32_t row = y.origin + y.first * p->dilation_y;
            const int32_t column = x.origin + x.first * p->dilation_x;
            const int32_t first = (row * p->input_width + column) * p->input_channels;
            const int32_t skipped = (y.first * p->filter_width + x.first) * channels;
            const int32_t taps = x.last - x.first;
            const int clipped = y.last - y.first < p->filter_height || taps < p->filter_width;
            int32_t i = 0; /* the input channel of o, and the outputs left to make from it */
            int32_t left = p->depth_multiplier;
            for (int32_t o = 0; o < channels; o++) {
                int32_t sum = bias[o];
                int32_t from = first + i;
                int32_t at = skipped + o;
                for (int32_t ky = y.first; ky < y.last; ky++) {
                    const int8_t *tap = input + from;
                    const int8_t *w = weights + at;
                    for (int32_t k = 0; k < taps; k++) {
                        sum += tap[k * step_x] * w[k * channels];
                    }
                    from += step_y;
                    at += p->filter_width * channels;
                }
                if (clipped) {
                    sum += p->input_zero_point * stapes_sum_outside(weights + o, p->filter_height,
                                                                    p->filter_width, channels, 1, y,
                                                                    x);
                }
                sum = stapes_requantize(sum, p->multipliers[o], p->shifts[o]);
                *out++ = (int8_t)stapes_offset_clamp(sum, p->output_zero_point, p->output_min,
                                                     p->output_max);
                if (--left == 0) {
                    i++;
                    left = p->depth_multiplier;
                }
            }
        }
    }
}
