/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds recordings from stdin to Whisper's front end: each is blocks of PCM (a count of samples,
 * the samples) up to a count of END. The reply is the last status, the samples and the energy that
 * the decoder is told, and the network's input. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stapes/speech.h"
#include "stapes/whisper_mel.h"
#include "tables.h" /* FRAMES, BANDS, value, CONVERT, RESCALE and the arrays */

#define END 0xFFFFFFFFu
#define VALUES_BYTES (FRAMES * BANDS * sizeof(value))
#define HISTORY_BYTES (2 * STAPES_WHISPER_MEL_FRAME)
#define FOLDED_BYTES (4 * STAPES_WHISPER_MEL_FOLDED)
#define FEATURES_BYTES (2 * FRAMES * BANDS)

static const stapes_whisper_mel_input input = {
    .params = {.window = window,
               .sine = sine,
               .log2 = log2_table,
               .starts = starts,
               .rises = rises,
               .heights = heights,
               .bands = BANDS},
    .rescale = RESCALE,
    .convert = CONVERT,
    .values = {0, 0, VALUES_BYTES},
    .value_bytes = sizeof(value),
    .frames = FRAMES,
    .history = {1, 0, HISTORY_BYTES},
    .folded = {2, 0, FOLDED_BYTES},
    .features = {3, 0, FEATURES_BYTES},
};
static const struct stapes_speech speech = {
    .feed = stapes_whisper_mel_feed,
    .pad = stapes_whisper_mel_pad,
    .input = &input,
};
static const stapes_model model = {.speech = &speech};

int main(void) {
    static const size_t sizes[STAPES_MAX_ARENAS] = {VALUES_BYTES, HISTORY_BYTES, FOLDED_BYTES,
                                                    FEATURES_BYTES};
    stapes_context context = {.frames = 0};
    for (int i = 0; i < STAPES_MAX_ARENAS; i++) { /* on the heap, so that sanitizers see the ends */
        context.arena[i] = malloc(sizes[i]);
        if (context.arena[i] == NULL) {
            return 1;
        }
        memset(context.arena[i], 0x5A, sizes[i]);
    }
    uint32_t count;
    stapes_status status = STAPES_OK;
    context.frames = 1;
    while (fread(&count, 4, 1, stdin) == 1) {
        if (count != END) {
            int16_t *const pcm = malloc(2 * (size_t)count + 1);
            if (pcm == NULL || fread(pcm, 2, count, stdin) != count) {
                return 1;
            }
            status = stapes_whisper_mel_feed(&model, &context, pcm, count);
            free(pcm);
            continue;
        }
        stapes_whisper_mel_pad(&model, &context);
        fwrite(&status, 4, 1, stdout);
        fwrite(&context.held_samples, 4, 1, stdout);
        fwrite(&context.energy, 8, 1, stdout);
        fwrite(context.arena[0], 1, VALUES_BYTES, stdout);
        context.frames = 1;
        context.held_samples = 0;
    }
    for (int i = 0; i < STAPES_MAX_ARENAS; i++) {
        free(context.arena[i]);
    }
    return 0;
}
