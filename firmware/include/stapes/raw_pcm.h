/* SPDX-License-Identifier: Apache-2.0 */
/* PCM as a network's input. */
#ifndef STAPES_RAW_PCM_H
#define STAPES_RAW_PCM_H

#include <stddef.h>
#include <stdint.h>

#include "stapes/log_mel.h"
#include "stapes/stapes.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct stapes_raw_pcm_input {
    stapes_rescale_params rescale;
    stapes_rescale convert; /* to the input's type */
    stapes_tensor values;   /* the input of graph 0, a value a sample */
    uint32_t value_bytes;   /* 1: int8, 2: int16, 4: float */
    int32_t samples;        /* the window */
} stapes_raw_pcm_input;

/* For stapes_speech: each sample x becomes clamp((x * multiplier + offset) >> shift), as a float
 * x * scale + bias. */
stapes_status stapes_raw_pcm_feed(const stapes_model *model, stapes_context *context,
                                  const int16_t *pcm, size_t samples);
void stapes_raw_pcm_pad(const stapes_model *model, stapes_context *context);

#ifdef __cplusplus
}
#endif

#endif
