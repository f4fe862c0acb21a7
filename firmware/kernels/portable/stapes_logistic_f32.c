/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/float_math.h"
#include "stapes/unary.h"

/*
 * output[r][c] = 1 / (1 + exp(-input[r][c]))
 *
 * input  float [...][columns]
 * output float [...][columns]; rows row0 ... row0 + rows - 1 are written; may be the input
 *
 * Rounds as stapes_logistic.
 */
void stapes_logistic_f32(const stapes_unary_f32_params *params, int32_t row0, int32_t rows,
                         const float *input, float *output) {
    const int32_t last = (row0 + rows) * params->columns;

    for (int32_t i = row0 * params->columns; i < last; i++) {
        output[i] = stapes_logistic(input[i]);
    }
}
