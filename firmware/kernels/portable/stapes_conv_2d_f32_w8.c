/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/conv_2d.h"

#include "stapes/dot.h"
#include "stapes/hybrid.h"
#include "stapes/window.h"

/* Quantizes the input under the window at (oy, ox); outside the input it is 0. */
static void stapes_quantize_window(const stapes_conv_2d_f32_params *p, stapes_affine affine,
                                   const float *input, int32_t oy, int32_t ox, int16_t *window) {
    const int32_t channels = p->input_channels;
    const stapes_taps y = stapes_clip_taps(oy * p->stride_y - p->pad_top, p->filter_height,
                                           p->dilation_y, p->input_height);
    const stapes_taps x = stapes_clip_taps(ox * p->stride_x - p->pad_left, p->filter_width,
                                           p->dilation_x, p->input_width);
    const int32_t taps = x.last - x.first;
    if (y.last - y.first < p->filter_height || taps < p->filter_width) {
        for (int32_t i = 0; i < p->filter_height * p->filter_width * channels; i++) {
            window[i] = 0;
        }
    }
    /* Neighbouring taps are contiguous in the input unless it is dilated. */
    const int32_t runs = p->dilation_x == 1 ? 1 : taps;
    const int32_t length = p->dilation_x == 1 ? taps * channels : channels;
    for (int32_t ky = y.first; ky < y.last; ky++) {
        const int32_t row = (y.origin + ky * p->dilation_y) * p->input_width;
        for (int32_t run = 0; run < runs; run++) {
            const int32_t kx = x.first + run;
            const int32_t from = (row + x.origin + kx * p->dilation_x) * channels;
            stapes_quantize_floats(affine, input + from, length,
                                   window + (ky * p->filter_width + kx) * channels);
        }
    }
}

/*
 * output[y][x][o] = clamp(sum over taps of q[y * stride_y - pad_top + ky * dilation_y][...][i] *
 *                   weights[o][ky][kx][i] * s * scales[o] + bias[o])
 *
 * input   float [input_height][input_width][input_channels], quantized by the range of all of it:
 *         input is about s * q, q in -255 ... 255, and 0 outside
 * weights int8 [output_channels][filter_height][filter_width][input_channels], zero point 0
 * bias    float [output_channels]
 * scratch int16 [filter_height][filter_width][input_channels]
 * output  float [...][output_width][output_channels]; rows row0 ... row0 + rows - 1 are written
 *
 * The sum is exact and below 2^31 in magnitude; then each operation rounds to single precision,
 * from left to right. Output and scratch overlap nothing.
 */
void stapes_conv_2d_f32_w8(const stapes_conv_2d_f32_params *params, int32_t row0, int32_t rows,
                           const float *input, const int8_t *weights, const float *bias,
                           int16_t *scratch, float *output) {
    const stapes_conv_2d_f32_params *p = params;
    const int32_t depth = p->filter_height * p->filter_width * p->input_channels;
    const stapes_affine affine = stapes_affine_of(
        stapes_range_of(input, p->input_height * p->input_width * p->input_channels));
    float *out = output + row0 * p->output_width * p->output_channels;

    for (int32_t oy = row0; oy < row0 + rows; oy++) {
        for (int32_t ox = 0; ox < p->output_width; ox++) {
            stapes_quantize_window(p, affine, input, oy, ox, scratch);
            const int8_t *w = weights;
            for (int32_t o = 0; o < p->output_channels; o++) {
                const float sum = (float)stapes_dot_s16_narrow(scratch, w, depth);
                const float value = sum * affine.scale * p->scales[o] + bias[o];
                *out++ = stapes_clamp_float(value, p->output_min, p->output_max);
                w += depth;
            }
        }
    }
}
