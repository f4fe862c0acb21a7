/* SPDX-License-Identifier: Apache-2.0 */
/* Drives raw PCM and greedy decoding from stdin. The encoder's output is its input; the decoder
 * hashes all that it is given, so a wrong row, mask or cache changes every logit that follows.
 * Commands: text bytes u32, samples u32, block u32, PCM. Replies: status u32, bytes u32, text,
 * bytes told u32, text told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stapes/greedy.h"
#include "stapes/raw_pcm.h"
#include "stapes/speech.h"
#include "tables.h" /* CLASSES, POSITIONS, WIDTH, BLOCKS, ENTRY, WINDOW, RULE and the arrays */

typedef VALUE value; /* int16_t or float */

enum {
    SIZE = sizeof(value),
    PCM = 0, /* the decoder's buffers lie over the PCM, as a plan would have them */
    KEPT = (WINDOW * SIZE + 15) / 16 * 16,
    TOKEN_ROW = KEPT + 16,
    STEP_ROW = TOKEN_ROW + SIZE * WIDTH,
    MASK = STEP_ROW + SIZE * WIDTH,
    CACHE = MASK + SIZE * (POSITIONS + 1),
    ROWS = CACHE + SIZE * BLOCKS * POSITIONS * ENTRY,
    LOGITS = ROWS + SIZE * BLOCKS * ENTRY,
    HISTORY = (LOGITS + SIZE * CLASSES + 15) / 16 * 16,
    ARENA_BYTES = HISTORY + 4 * POSITIONS
};

static const stapes_tensor encoder_inputs[] = {{0, PCM, WINDOW *SIZE}};
static const stapes_tensor encoder_outputs[] = {{0, KEPT, 4}};
static const stapes_tensor step_outputs[] = {{0, LOGITS, SIZE *CLASSES}};

static value *values(const stapes_context *context, uint32_t offset) {
    return (value *)(void *)(context->arena[0] + offset);
}

static void hash(uint32_t *state, const value *data, int32_t count) {
    uint16_t half;
    for (int32_t i = 0; i < count * (SIZE / 2); i++) {
        memcpy(&half, (const uint8_t *)data + 2 * i, 2);
        *state = (*state ^ half) * 16777619u;
    }
}

static stapes_status encode(const stapes_context *context) {
    uint32_t state = 2166136261u;
    hash(&state, values(context, PCM), WINDOW);
    memcpy(context->arena[0] + KEPT, &state, sizeof state);
    memset(context->arena[0] + TOKEN_ROW, 0x5A, ARENA_BYTES - TOKEN_ROW);
    return STAPES_OK;
}

static stapes_status decode(const stapes_context *context) {
    uint32_t state;
    memcpy(&state, context->arena[0] + KEPT, sizeof state);
    hash(&state, values(context, TOKEN_ROW),
         2 * WIDTH + POSITIONS + 1 + BLOCKS * POSITIONS * ENTRY);
    for (int32_t i = 0; i < BLOCKS * ENTRY; i++) {
        values(context, ROWS)[i] = (value)(int16_t)((state >> 8) + (uint32_t)i * 7919u);
    }
    for (int32_t i = 0; i < CLASSES; i++) {
        state = state * 1664525u + 1013904223u;
        values(context, LOGITS)[i] = LOGIT((int16_t)((state >> 16) % LEVELS));
    }
    memset(context->arena[0] + TOKEN_ROW, 0x33, CACHE - TOKEN_ROW); /* a run may spoil these */
    return context->on_step != NULL && context->on_step(context->user, 0) != 0
               ? STAPES_ERROR_CANCELLED
               : STAPES_OK;
}

static const stapes_graph graphs[] = {{encode, encoder_inputs, encoder_outputs, 1, 1},
                                      {decode, encoder_inputs, step_outputs, 1, 1}};
static const uint32_t arena_bytes[] = {ARENA_BYTES};
static const stapes_raw_pcm_input input = {
    .rescale = RESCALE,
    .convert = CONVERT,
    .values = {0, PCM, WINDOW *SIZE},
    .value_bytes = SIZE,
    .samples = WINDOW,
};
static const stapes_row_table tables[] = {
    {.rows = {token_table, 0},
     .scales = {SCALES, 0},
     .value_bytes = VALUE_BYTES,
     .row_bytes = sizeof token_table / CLASSES,
     .row_values = WIDTH,
     .bits = 8,
     .by_token = 1,
     .target = {0, TOKEN_ROW, SIZE *WIDTH},
     .shift = SHIFT,
     .zero_point = ZERO_POINT},
    {.rows = {step_table, 0}, .row_bytes = SIZE * WIDTH, .target = {0, STEP_ROW, SIZE *WIDTH}},
};
static const stapes_row_state states[] = {{{0, CACHE, SIZE *BLOCKS *POSITIONS *ENTRY},
                                           {0, ROWS, SIZE *BLOCKS *ENTRY},
                                           BLOCKS,
                                           POSITIONS,
                                           SIZE *ENTRY,
                                           0}};
static const stapes_greedy_params decoder = {
    .bytes = {token_bytes, 0},
    .byte_ends = {token_ends, 0},
    .start = start,
    .suppress = suppress,
    .begin_suppress = begin_suppress,
    .tables = tables,
    .states = states,
    .table_count = 2,
    .state_count = 1,
    .classes = CLASSES,
    .positions = POSITIONS,
    .mask_bytes = SIZE,
    .logit_bytes = SIZE,
    .mask = {0, MASK, SIZE *(POSITIONS + 1)},
    .logits = {0, LOGITS, SIZE *CLASSES},
    .history = {0, HISTORY, 4 * POSITIONS},
    RULE,
};
static const struct stapes_speech speech = {
    .feed = stapes_raw_pcm_feed,
    .pad = stapes_raw_pcm_pad,
    .decode = stapes_greedy_decode,
    .input = &input,
    .decoder = &decoder,
};
static const stapes_model model = {graphs, 2, 1, arena_bytes, &speech, NULL};

static char told[4096];
static size_t told_bytes;

static void tell(void *user, const char *text, size_t bytes) {
    (void)user;
    memcpy(told + told_bytes, text, bytes);
    told_bytes += bytes;
}

static int16_t *read_pcm(uint32_t samples) {
    int16_t *const pcm = malloc(2 * (size_t)samples + 1);
    if (pcm == NULL || fread(pcm, 2, samples, stdin) != samples) {
        abort();
    }
    return pcm;
}

static void reply(const char *text, size_t bytes) {
    const uint32_t count = (uint32_t)bytes;
    fwrite(&count, 4, 1, stdout);
    fwrite(text, 1, bytes, stdout);
}

int main(void) {
    static stapes_context context;
    uint32_t command[3];
    context.arena[0] = aligned_alloc(16, (ARENA_BYTES + 15) / 16 * 16);
    context.arena_bytes[0] = ARENA_BYTES;
    context.on_text = tell;
    if (context.arena[0] == NULL) {
        abort();
    }
    memset(context.arena[0], 0xA5, ARENA_BYTES);
    while (fread(command, 4, 3, stdin) == 3) {
        int16_t *const pcm = read_pcm(command[1]);
        char *const text = malloc(command[0] == 0 ? 1 : command[0]); /* exact, for the sanitizer */
        if (text == NULL) {
            abort();
        }
        size_t written = 77;
        told_bytes = 0;
        stapes_status status = stapes_begin(&model, &context);
        for (uint32_t at = 0; at < command[1] && status == STAPES_OK; at += command[2]) {
            const uint32_t left = command[1] - at;
            status = stapes_feed(&model, &context, pcm + at, left < command[2] ? left : command[2]);
        }
        const stapes_status finished = stapes_finish(&model, &context, text, command[0], &written);
        if (status != STAPES_OK && status != finished) {
            abort();
        }
        if (command[0] != 0 && strlen(text) != written) {
            abort();
        }
        const uint32_t code = (uint32_t)finished;
        fwrite(&code, 4, 1, stdout);
        reply(text, written);
        reply(told, told_bytes);
        free(text);
        free(pcm);
    }
    free(context.arena[0]);
    return 0;
}
