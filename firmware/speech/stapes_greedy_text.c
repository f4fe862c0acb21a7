/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "stapes/greedy.h"

/*
 * The tokens' bytes, joined, without the spaces in front and behind, and a NUL.
 *
 * tokens (token_count,). text receives at most text_bytes bytes, one at least, NUL included;
 * STAPES_ERROR_TEXT_TOO_SMALL when that is not enough: text is then empty. written may be null.
 */
stapes_status stapes_greedy_text(const stapes_greedy_params *params, const stapes_context *context,
                                 const int32_t *tokens, int32_t token_count, char *text,
                                 size_t text_bytes, size_t *written) {
    const uint8_t *const bytes = stapes_constant_at(context, &params->bytes);
    const uint32_t *const ends = stapes_constant_at(context, &params->byte_ends);
    size_t used = 0;
    size_t spaces = 0;
    for (int32_t n = 0; n < token_count; n++) {
        const int32_t token = tokens[n];
        const uint32_t begin = token == 0 ? 0 : ends[token - 1];
        for (uint32_t i = begin; i < ends[token]; i++) {
            if (bytes[i] == ' ') {
                spaces += used > 0;
                continue;
            }
            if (spaces + 1 >= text_bytes - used) {
                text[0] = '\0';
                return STAPES_ERROR_TEXT_TOO_SMALL;
            }
            memset(text + used, ' ', spaces);
            used += spaces;
            spaces = 0;
            memcpy(text + used, bytes + i, 1);
            used++;
        }
    }
    text[used] = '\0';
    if (written != NULL) {
        *written = used;
    }
    return STAPES_OK;
}
