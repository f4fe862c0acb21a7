/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/float_math.h"
#include "stapes/unary.h"

/*
 * output[r][c] = input[r][c], at least output_min and at most output_max
 *
 * input  float [...][columns]
 * output float [...][columns]; rows row0 ... row0 + rows - 1 are written; may be the input
 */
void stapes_clamp_f32(const stapes_clamp_params *params, int32_t row0, int32_t rows,
                      const float *input, float *output) {
    const stapes_clamp_params *p = params;
    const int32_t last = (row0 + rows) * p->columns;

    for (int32_t i = row0 * p->columns; i < last; i++) {
        output[i] = stapes_clamp_float(input[i], p->output_min, p->output_max);
    }
}
