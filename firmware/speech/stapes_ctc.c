/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "stapes/ctc.h"
#include "stapes/speech.h"

static int32_t logit(const stapes_ctc_params *params, const void *logits, size_t index) {
    return params->logit_bytes == 1 ? ((const int8_t *)logits)[index]
                                    : ((const int16_t *)logits)[index];
}

/*
 * Best path: the largest logit of each frame (the first of equals), repeats merged, blanks
 * dropped, the classes' texts joined by the separator.
 *
 * logits (frames, classes) int8 or int16. text receives at most text_bytes bytes, NUL included.
 * STAPES_ERROR_TEXT_TOO_SMALL when that is not enough: text is then empty (when it has a byte),
 * as with STAPES_OK for silence. written may be null. No overlap.
 */
stapes_status stapes_ctc(const stapes_ctc_params *params, const void *logits, char *text,
                         size_t text_bytes, size_t *written) {
    size_t used = 0;
    int32_t previous = params->blank;
    if (written != NULL) {
        *written = 0;
    }
    if (text_bytes == 0) {
        return STAPES_ERROR_TEXT_TOO_SMALL;
    }
    for (int32_t frame = 0; frame < params->frames; frame++) {
        const size_t row = (size_t)frame * (size_t)params->classes;
        int32_t best = 0;
        for (int32_t c = 1; c < params->classes; c++) {
            if (logit(params, logits, row + (size_t)c) >
                logit(params, logits, row + (size_t)best)) {
                best = c;
            }
        }
        if (best != previous && best != params->blank) {
            const size_t begin = best == 0 ? 0 : params->word_ends[best - 1];
            const size_t length = params->word_ends[best] - begin;
            const size_t gap = used == 0 ? 0 : (size_t)params->separator_bytes;
            if (gap + length >= text_bytes - used) {
                text[0] = '\0';
                return STAPES_ERROR_TEXT_TOO_SMALL;
            }
            memcpy(text + used, params->separator, gap);
            memcpy(text + used + gap, params->words + begin, length);
            used += gap + length;
        }
        previous = best;
    }
    text[used] = '\0';
    if (written != NULL) {
        *written = used;
    }
    return STAPES_OK;
}

stapes_status stapes_ctc_decode(const stapes_model *model, const stapes_context *context,
                                char *text, size_t text_bytes, size_t *written) {
    const stapes_status status = model->graphs[0].run(context);
    return status != STAPES_OK ? status
                               : stapes_ctc(model->speech->decoder,
                                            stapes_at(context, &model->graphs[0].outputs[0]), text,
                                            text_bytes, written);
}
