/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/depthwise_conv_2d.h"

#include "stapes/requantize.h"
#include "stapes/window.h"

/*
 * output[y][x][o] = clamp(requantize(bias[o] + sum over taps inside the input of
 *                   input[y * stride_y - pad_top + ky * dilation_y][...][o / depth_multiplier] *
 *                   weights[ky][kx][o]))
 *
 * input   int16 [input_height][input_width][input_channels], zero point 0
 * weights int8 [filter_height][filter_width][channels], zero point 0, where channels is
 *         input_channels * depth_multiplier
 * bias    int64 [channels]
 * output  int16 [...][output_width][channels], zero point 0; rows row0 ... row0 + rows - 1 are
 *         written
 *
 * Every channel's bias and products must sum to less than 2^47 in magnitude. Multipliers have 15
 * bits; rounds once, as stapes_requantize_wide. Output overlaps no input.
 */
void stapes_depthwise_conv_2d_s16(const stapes_depthwise_conv_2d_params *params, int32_t row0,
                                  int32_t rows, const int16_t *input, const int8_t *weights,
                                  const int64_t *bias, int16_t *output) {
    const stapes_depthwise_conv_2d_params *p = params;
    const int32_t channels = p->input_channels * p->depth_multiplier;
    const int32_t step_x = p->dilation_x * p->input_channels;
    const int32_t step_y = p->dilation_y * p->input_width * p->input_channels;
    int16_t *out = output + row0 * p->output_width * channels;

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
            int32_t i = 0; /* the input channel of o, and the outputs left to make from it */
            int32_t left = p->depth_multiplier;
            for (int32_t o = 0; o < channels; o++) {
                int64_t sum = bias[o];
                int32_t from = first + i;
                int32_t at = skipped + o;
                for (int32_t ky = y.first; ky < y.last; ky++) {
                    const int16_t *tap = input + from;
                    const int8_t *w = weights + at;
                    for (int32_t k = 0; k < taps; k++) {
                        sum += tap[k * step_x] * w[k * channels];
                    }
                    from += step_y;
                    at += p->filter_width * channels;
                }
                *out++ = (int16_t)stapes_clamp(
                    stapes_requantize_wide(sum, p->multipliers[o], p->shifts[o]), p->output_min,
                    p->output_max);
                if (--left == 0) {
                    i++;
                    left = p->depth_multiplier;
                }
            }
        }
    }
}
