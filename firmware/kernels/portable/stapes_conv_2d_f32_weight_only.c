/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/conv_2d.h"

#include "stapes/float_math.h"
#include "stapes/window.h"

/* Positions and channels that are summed side by side: each weight becomes a float once for four
 * products. */
enum { STAPES_SIDE = 4 };

/* window[i * STAPES_SIDE] = value i of the input under the window at (oy, ox), 0 outside. */
static void stapes_gather_window(const stapes_conv_2d_f32_params *p, const float *input, int32_t oy,
                                 int32_t ox, float *window) {
    const int32_t channels = p->input_channels;
    const stapes_taps y = stapes_clip_taps(oy * p->stride_y - p->pad_top, p->filter_height,
                                           p->dilation_y, p->input_height);
    const stapes_taps x = stapes_clip_taps(ox * p->stride_x - p->pad_left, p->filter_width,
                                           p->dilation_x, p->input_width);
    for (int32_t ky = 0; ky < p->filter_height; ky++) {
        const int32_t row = (y.origin + ky * p->dilation_y) * p->input_width;
        for (int32_t kx = 0; kx < p->filter_width; kx++) {
            const int inside = ky >= y.first && ky < y.last && kx >= x.first && kx < x.last;
            const int32_t from = (row + x.origin + kx * p->dilation_x) * channels;
            for (int32_t i = 0; i < channels; i++) {
                *window = inside ? input[from + i] : 0.0f;
                window += STAPES_SIDE;
            }
        }
    }
}

/* sums[side][lane] = sum over k, going up, of window[k][side] * weights[k][lane]
 *
 * Unrolled, so that the sums stay in registers. */
static void stapes_sum_windows(const float *window, const int8_t *weights, int32_t depth,
                               float *sums) {
    float total[STAPES_SIDE * STAPES_SIDE] = {0.0f};
    for (int32_t k = 0; k < depth; k++) {
        float weight[STAPES_SIDE];
#pragma GCC unroll 4
        for (int32_t lane = 0; lane < STAPES_SIDE; lane++) {
            weight[lane] = (float)weights[k * STAPES_SIDE + lane];
        }
#pragma GCC unroll 4
        for (int32_t side = 0; side < STAPES_SIDE; side++) {
            const float value = window[k * STAPES_SIDE + side];
#pragma GCC unroll 4
            for (int32_t lane = 0; lane < STAPES_SIDE; lane++) {
                total[side * STAPES_SIDE + lane] += value * weight[lane];
            }
        }
    }
#pragma GCC unroll 16
    for (int32_t i = 0; i < STAPES_SIDE * STAPES_SIDE; i++) {
        sums[i] = total[i];
    }
}

/*
 * output[y][x][o] = clamp(sum over taps of input[y * stride_y - pad_top + ky * dilation_y][...][i]
 * * weights[o][ky][kx][i] * scales[o] + bias[o])
 *
 * input   float [input_height][input_width][input_channels], 0 outside
 * weights int8 [output_channels / 4, rounded up][filter_height][filter_width][input_channels][4],
 *         zero point 0: four channels side by side, those behind the last are 0
 * bias    float [output_channels]
 * scratch float [filter_height][filter_width][input_channels][4]
 * output  float [...][output_width][output_channels]; rows row0 ... row0 + rows - 1 are written
 *
 * Each operation rounds to single precision: products and their sum in the order of the taps, then
 * from left to right. Output and scratch overlap nothing.
 */
void stapes_conv_2d_f32_weight_only(const stapes_conv_2d_f32_params *params, int32_t row0,
                                    int32_t rows, const float *input, const int8_t *weights,
                                    const float *bias, float *scratch, float *output) {
    const stapes_conv_2d_f32_params *p = params;
    const int32_t depth = p->filter_height * p->filter_width * p->input_channels;
    const int32_t end = (row0 + rows) * p->output_width;

    for (int32_t first = row0 * p->output_width; first < end; first += STAPES_SIDE) {
        const int32_t sides = end - first < STAPES_SIDE ? end - first : STAPES_SIDE;
        for (int32_t side = 0; side < STAPES_SIDE; side++) {
            /* Behind the last position, that one again. */
            const int32_t position = first + (side < sides ? side : sides - 1);
            stapes_gather_window(p, input, position / p->output_width, position % p->output_width,
                                 scratch + side);
        }
        const int8_t *w = weights;
        for (int32_t o = 0; o < p->output_channels; o += STAPES_SIDE) {
            const int32_t left = p->output_channels - o;
            const int32_t lanes = left < STAPES_SIDE ? left : STAPES_SIDE;
            float sums[STAPES_SIDE * STAPES_SIDE];
            stapes_sum_windows(scratch, w, depth, sums);
            for (int32_t side = 0; side < sides; side++) {
                float *out = output + (first + side) * p->output_channels + o;
                for (int32_t lane = 0; lane < lanes; lane++) {
                    const float sum = sums[side * STAPES_SIDE + lane];
                    const float value = sum * p->scales[o + lane] + bias[o + lane];
                    out[lane] = stapes_clamp_float(value, p->output_min, p->output_max);
                }
            }
            w += depth * STAPES_SIDE;
        }
    }
}
