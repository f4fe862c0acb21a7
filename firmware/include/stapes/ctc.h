/* SPDX-License-Identifier: Apache-2.0 */
/* Connectionist temporal classification: from a network's logits to text. */
#ifndef STAPES_CTC_H
#define STAPES_CTC_H

#include <stddef.h>
#include <stdint.h>

#include "stapes/stapes.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct stapes_ctc_params {
    const char *words;         /* every class's text, one after another, without NULs */
    const uint16_t *word_ends; /* where each class's text ends in words: classes values */
    const char *separator;     /* between words */
    int32_t separator_bytes;
    int32_t classes;
    int32_t blank;
    int32_t frames;      /* of logits */
    int32_t logit_bytes; /* 1: int8, 2: int16 */
} stapes_ctc_params;

/* For stapes_speech: graph 0 from its only input to its only output, the logits. */
stapes_status stapes_ctc_decode(const stapes_model *model, const stapes_context *context,
                                char *text, size_t text_bytes, size_t *written);

/* Greedy decoding of logits (frames, classes) into text; `written` leaves out the NUL. */
stapes_status stapes_ctc(const stapes_ctc_params *params, const void *logits, char *text,
                         size_t text_bytes, size_t *written);

#ifdef __cplusplus
}
#endif

#endif
