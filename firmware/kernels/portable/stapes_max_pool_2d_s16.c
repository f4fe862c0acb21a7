/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/pool_2d.h"

#include "stapes/requantize.h"
#include "stapes/window.h"

/*
 * output[y][x][c] = clamp(the largest input[...][...][c] of the window's part inside the input)
 *
 * input   int16 [input_height][input_width][channels]
 * output  int16 [...][output_width][channels], of the input's scale and zero point;
 *         rows row0 ... row0 + rows - 1 are written
 *
 * Every window holds at least one position of the input, and fewer than 2^16. Output overlaps no
 * input.
 */
void stapes_max_pool_2d_s16(const stapes_pool_2d_params *params, int32_t row0, int32_t rows,
                            const int16_t *input, int16_t *output) {
    const stapes_pool_2d_params *p = params;
    int16_t *out = output + row0 * p->output_width * p->channels;

    for (int32_t oy = row0; oy < row0 + rows; oy++) {
        const stapes_taps y =
            stapes_clip_taps(oy * p->stride_y - p->pad_top, p->filter_height, 1, p->input_height);
        for (int32_t ox = 0; ox < p->output_width; ox++) {
            const stapes_taps x = stapes_clip_taps(ox * p->stride_x - p->pad_left, p->filter_width,
                                                   1, p->input_width);
            for (int32_t c = 0; c < p->channels; c++) {
                int32_t value = p->output_min;
                for (int32_t ky = y.first; ky < y.last; ky++) {
                    int32_t from =
                        ((y.origin + ky) * p->input_width + x.origin + x.first) * p->channels + c;
                    for (int32_t kx = x.first; kx < x.last; kx++) {
                        value = input[from] > value ? input[from] : value;
                        from += p->channels;
                    }
                }
                *out++ = (int16_t)stapes_clamp(value, p->output_min, p->output_max);
            }
        }
    }
}
