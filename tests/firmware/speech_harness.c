/* SPDX-License-Identifier: Apache-2.0 */
/* Drives the speech runtime from stdin: the model's "network" copies the first CLASSES features of
 * each frame to its output. Commands: op u8, context u8, argument u32, data. Replies on stdout. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stapes/ctc.h"
#include "stapes/log_mel.h"
#include "stapes/speech.h"
#include "tables.h" /* WINDOW_FRAMES, CLASSES, BANDS, value, RESCALE, WORDS and the arrays */

#define INPUT_BYTES (WINDOW_FRAMES * BANDS * sizeof(value))
#define OUTPUT_BYTES (WINDOW_FRAMES * CLASSES * sizeof(value))
#define OUTPUT_OFFSET ((INPUT_BYTES + 15) / 16 * 16)
#define HISTORY_OFFSET ((OUTPUT_OFFSET + OUTPUT_BYTES + 15) / 16 * 16)
#define SPECTRUM_OFFSET (HISTORY_OFFSET + 2 * FRAME)
#define FEATURES_OFFSET (SPECTRUM_OFFSET + 4 * STAPES_LOG_MEL_SPECTRUM)
#define ARENA_BYTES (FEATURES_OFFSET + 2 * BANDS)

static const stapes_tensor inputs[1] = {{0, 0, INPUT_BYTES}};
static const stapes_tensor outputs[1] = {{0, OUTPUT_OFFSET, OUTPUT_BYTES}};

static stapes_status run(const stapes_context *context) {
    for (int frame = 0; frame < WINDOW_FRAMES; frame++) {
        memcpy(context->arena[0] + OUTPUT_OFFSET + (size_t)frame * CLASSES * sizeof(value),
               context->arena[0] + (size_t)frame * BANDS * sizeof(value), CLASSES * sizeof(value));
    }
    /* What the front end used is free for the network. */
    memset(context->arena[0] + HISTORY_OFFSET, 0xA5, ARENA_BYTES - HISTORY_OFFSET);
    return context->on_step != NULL && context->on_step(context->user, 0) != 0
               ? STAPES_ERROR_CANCELLED
               : STAPES_OK;
}

static const stapes_graph graphs[1] = {{run, inputs, outputs, 1, 1}};
static const uint32_t arena_bytes[1] = {ARENA_BYTES};

static const stapes_log_mel_input input = {
    .params = {.window = window,
               .sine = sine,
               .log2 = log2_table,
               .starts = starts,
               .rises = rises,
               .frame_samples = FRAME,
               .hop_samples = HOP,
               .bands = BANDS},
    .rescale = RESCALE,
    .convert = sizeof(value) == 1 ? stapes_rescale_s8 : stapes_rescale_s16,
    .values = {0, 0, INPUT_BYTES},
    .value_bytes = sizeof(value),
    .frames = WINDOW_FRAMES,
    .history = {0, HISTORY_OFFSET, 2 * FRAME},
    .spectrum = {0, SPECTRUM_OFFSET, 4 * STAPES_LOG_MEL_SPECTRUM},
    .features = {0, FEATURES_OFFSET, 2 * BANDS},
};
static const stapes_ctc_params ctc = {
    .words = WORDS,
    .word_ends = word_ends,
    .separator = " ",
    .separator_bytes = 1,
    .classes = CLASSES,
    .blank = 0,
    .frames = WINDOW_FRAMES,
    .logit_bytes = sizeof(value),
};
static const struct stapes_speech speech = {
    .feed = stapes_log_mel_feed,
    .pad = stapes_log_mel_pad,
    .decode = stapes_ctc_decode,
    .input = &input,
    .decoder = &ctc,
};
static const stapes_model model = {graphs, 1, 1, arena_bytes, &speech, NULL};

static int cancel(void *user, int32_t step) {
    (void)user;
    (void)step;
    return 1;
}

static void *exactly(size_t bytes) {
    void *memory = aligned_alloc(16, bytes == 0 ? 16 : (bytes + 15) / 16 * 16);
    return memory == NULL ? abort(), NULL : memory;
}

static void reply(stapes_status status, const void *data, uint32_t bytes) {
    const uint32_t code = (uint32_t)status;
    fwrite(&code, 4, 1, stdout);
    fwrite(&bytes, 4, 1, stdout);
    fwrite(data, 1, bytes, stdout);
}

int main(void) {
    static stapes_context contexts[2]; /* zeroed: not begun */
    uint8_t command[2];
    uint32_t argument;
    for (int i = 0; i < 2; i++) {
        contexts[i].arena[0] = exactly(ARENA_BYTES);
        contexts[i].arena_bytes[0] = ARENA_BYTES;
        memset(contexts[i].arena[0], 0x5A, ARENA_BYTES);
    }
    while (fread(command, 1, 2, stdin) == 2 && fread(&argument, 4, 1, stdin) == 1) {
        stapes_context *const context = &contexts[command[1]];
        size_t written = 77;
        switch (command[0]) {
        case 'B':
            reply(stapes_begin(&model, context), "", 0);
            break;
        case 'C':
            context->on_step = argument != 0 ? cancel : NULL;
            reply(STAPES_OK, "", 0);
            break;
        case 'A':
            context->arena_bytes[0] = argument;
            reply(stapes_check(&model, context), "", 0);
            context->arena_bytes[0] = ARENA_BYTES;
            break;
        case 'F':
        case 'T': {
            int16_t *const pcm = malloc(2 * (size_t)argument + 1);
            if (pcm == NULL || fread(pcm, 2, argument, stdin) != argument) {
                abort();
            }
            if (command[0] == 'F') {
                reply(stapes_feed(&model, context, pcm, argument), "", 0);
            } else {
                char text[256];
                const stapes_status status =
                    stapes_transcribe(&model, context, pcm, argument, text, sizeof text, &written);
                reply(status, text, (uint32_t)written);
            }
            free(pcm);
            break;
        }
        case 'I':
            reply(STAPES_OK, stapes_input(&model, context, 0, 0), INPUT_BYTES);
            break;
        case 'E': { /* a heap buffer of exactly this size: the sanitizer sees a byte too many */
            char *const text = malloc(argument == 0 ? 1 : argument);
            if (text == NULL) {
                abort();
            }
            const stapes_status status = stapes_finish(&model, context, text, argument, &written);
            if (argument != 0 && strlen(text) != written) {
                abort();
            }
            reply(status, text, (uint32_t)written);
            free(text);
            break;
        }
        default:
            abort();
        }
    }
    free(contexts[0].arena[0]);
    free(contexts[1].arena[0]);
    return 0;
}
