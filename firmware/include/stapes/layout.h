/* SPDX-License-Identifier: Apache-2.0 */
/* Data moved as it is: padding, joining, taking apart, choosing, reordering. */
#ifndef STAPES_LAYOUT_H
#define STAPES_LAYOUT_H

#include <stdint.h>

/* Four dimensions; the last counts bytes. */
typedef struct stapes_pad_params {
    int32_t input_0;
    int32_t input_1;
    int32_t input_2;
    int32_t input_bytes;
    int32_t before_0;
    int32_t before_1;
    int32_t before_2;
    int32_t before_bytes;
    int32_t output_1;
    int32_t output_2;
    int32_t output_bytes;
    int32_t fill; /* the value of each padding byte */
} stapes_pad_params;

/* Bytes that each input adds to a row; 0 for an input that is absent. */
typedef struct stapes_concatenation_params {
    int32_t bytes_1;
    int32_t bytes_2;
    int32_t bytes_3;
    int32_t bytes_4;
} stapes_concatenation_params;

typedef struct stapes_concatenation_8_params {
    int32_t bytes_1;
    int32_t bytes_2;
    int32_t bytes_3;
    int32_t bytes_4;
    int32_t bytes_5;
    int32_t bytes_6;
    int32_t bytes_7;
    int32_t bytes_8;
} stapes_concatenation_8_params;

/* How many parts a row has, of as many bytes each. */
typedef struct stapes_split_params {
    int32_t parts;
    int32_t bytes;
} stapes_split_params;

/* The output's dimensions but the first, bytes a run, and bytes between neighbours in the input. */
typedef struct stapes_slice_params {
    int32_t output_1;
    int32_t output_2;
    int32_t output_3;
    int32_t bytes;
    int32_t offset;
    int32_t step_0;
    int32_t step_1;
    int32_t step_2;
    int32_t step_3;
} stapes_slice_params;

/* The output's dimensions but the first, and elements between neighbours in the input. */
typedef struct stapes_transpose_params {
    int32_t output_1;
    int32_t output_2;
    int32_t output_3;
    int32_t step_0;
    int32_t step_1;
    int32_t step_2;
    int32_t step_3;
} stapes_transpose_params;

void stapes_pad(const stapes_pad_params *params, int32_t row0, int32_t rows, const void *input,
                void *output);
void stapes_concatenation(const stapes_concatenation_params *params, int32_t row0, int32_t rows,
                          const void *input1, const void *input2, const void *input3,
                          const void *input4, void *output);
void stapes_concatenation_8(const stapes_concatenation_8_params *params, int32_t row0, int32_t rows,
                            const void *input1, const void *input2, const void *input3,
                            const void *input4, const void *input5, const void *input6,
                            const void *input7, const void *input8, void *output);
void stapes_split(const stapes_split_params *params, int32_t row0, int32_t rows, const void *input,
                  void *output1, void *output2, void *output3, void *output4);
void stapes_slice(const stapes_slice_params *params, int32_t row0, int32_t rows, const void *input,
                  void *output);
void stapes_transpose_s8(const stapes_transpose_params *params, int32_t row0, int32_t rows,
                         const int8_t *input, int8_t *output);
void stapes_transpose_s16(const stapes_transpose_params *params, int32_t row0, int32_t rows,
                          const int16_t *input, int16_t *output);
void stapes_transpose_f32(const stapes_transpose_params *params, int32_t row0, int32_t rows,
                          const float *input, float *output);

#endif
