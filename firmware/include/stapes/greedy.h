/* SPDX-License-Identifier: Apache-2.0 */
/* Greedy decoding of an encoder-decoder model: a graph that runs once a token, with a cache. */
#ifndef STAPES_GREEDY_H
#define STAPES_GREEDY_H

#include <stddef.h>
#include <stdint.h>

#include "stapes/speech.h"
#include "stapes/stapes.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rows of row_bytes bytes that the runtime writes into an input of the last graph: as they are, or,
 * where there are scales, each of row_values integers, int8 or packed as stapes/packed.h has them,
 * times the scale of its row or block: as a float, rounded once, or
 *   clamp(((value * scale + 2^(shift - 1)) >> shift) + zero_point) */
typedef struct stapes_row_table {
    stapes_constant rows;
    stapes_constant scales; /* one a row: float, or int32 0 .. 2^31 - 1 for integers; one a block:
                             * uint16, the upper half of a float, in front of floats alone */
    uint32_t value_bytes;   /* 0: no scales; else the input's, 1: int8, 2: int16, 4: float */
    uint32_t row_bytes;
    uint32_t row_values;  /* where there are scales, as the next two */
    uint32_t bits;        /* of an integer: 8, 4, 3 or 2 */
    uint32_t block_size;  /* integers that share a scale, whole STAPES_RUNs; 0: a row's */
    uint32_t by_token;    /* 1: the row of the token that is fed; 0: the row of the step */
    stapes_tensor target; /* the graph's input */
    int32_t shift;        /* 1 .. 62 */
    int32_t zero_point;   /* of the input */
} stapes_row_table;

/* A buffer (blocks, entries, row_bytes): entry n of each block is what step n gave as `rows`. */
typedef struct stapes_row_state {
    stapes_tensor buffer; /* the graph's input, which stays from step to step */
    stapes_tensor rows;   /* the graph's output (blocks, row_bytes) */
    uint32_t blocks;
    uint32_t entries;
    uint32_t row_bytes;
    int32_t zero; /* each byte of the buffer before the first step */
} stapes_row_state;

typedef struct stapes_greedy_params {
    stapes_constant bytes;     /* uint8: every token's text, one after another */
    stapes_constant byte_ends; /* uint32: where each token's text ends in bytes: classes values */
    const int32_t *start;      /* tokens that are fed before the first is chosen, one at least */
    const int32_t *suppress;   /* tokens that are never chosen */
    const int32_t *begin_suppress; /* tokens that are not chosen first */
    const stapes_row_table *tables;
    const stapes_row_state *states;
    int32_t start_count;
    int32_t suppress_count;
    int32_t begin_suppress_count;
    int32_t table_count;
    int32_t state_count;
    int32_t classes;
    int32_t end;             /* the token that ends the text */
    int32_t most_tokens;     /* steps at most */
    int32_t least_tokens;    /* the least bound that a recording's length gives */
    int32_t tokens_per_10_s; /* steps that 10 s allow, beside the start and one */
    int32_t sample_rate_hz;
    int32_t repeat_tokens; /* a passage of so many tokens or more is not said twice */
    int32_t silence;       /* mean square under which there is no text */
    int32_t masked;        /* the mask's value for entries that are not there */
    int32_t attended;      /* and for those that are, and the last */
    float float_masked;    /* masked of a float mask, whose attended is 0 */
    int32_t positions;     /* the mask's values but the last */
    int32_t mask_bytes;    /* 1: int8, 2: int16, 4: float */
    int32_t logit_bytes;   /* 1: int8, 2: int16, 4: float */
    stapes_tensor mask;    /* the last graph's input (positions + 1) */
    stapes_tensor logits;  /* the last graph's output (classes) */
    stapes_tensor history; /* int32 (most_tokens), the runtime's own */
} stapes_greedy_params;

/* The text of tokens; `written` leaves out the NUL. */
stapes_status stapes_greedy_text(const stapes_greedy_params *params, const stapes_context *context,
                                 const int32_t *tokens, int32_t token_count, char *text,
                                 size_t text_bytes, size_t *written);

/* For stapes_speech: all graphs but the last once, the last one a step, text of what it chose. */
stapes_status stapes_greedy_decode(const stapes_model *model, const stapes_context *context,
                                   char *text, size_t text_bytes, size_t *written);

#ifdef __cplusplus
}
#endif

#endif
