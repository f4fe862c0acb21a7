/* SPDX-License-Identifier: Apache-2.0 */
#include "board.h"
#include "records.h"
#include "stapes/crc32.h"
#include "stapes/greedy.h"

/* Whether a graph has run for this record: a silent one has no logits. */
static int has_run;

static uint32_t logits_crc32(const record_server *server) {
    const stapes_greedy_params *const params = server->model->speech->decoder;
    return stapes_crc32(0, stapes_at(server->context, &params->logits), params->logits.bytes);
}

static int note_run(void *user, int32_t step) {
    (void)user;
    (void)step;
    has_run = 1;
    return 0;
}

/* The logits still lie where the token was chosen from. What this takes is not the model's. */
static void note_token(void *user, const char *text, size_t bytes) {
    record_server *const server = user;
    const uint64_t before = board_instructions();
    const stapes_greedy_params *const params = server->model->speech->decoder;
    const int32_t *const tokens = stapes_at(server->context, &params->history);
    (void)text;
    (void)bytes;
    const uint32_t noted = server->report_words;
    server->report[noted] = (uint32_t)tokens[noted / 2];
    server->report[noted + 1] = logits_crc32(server);
    server->report_words = noted + 2;
    server->instructions -= board_instructions() - before;
}

/* As records_speech; the outputs are {token, CRC-32 of the logits that it was chosen from} a token,
 * repetitions included, and the CRC-32 of the last step's logits; nothing where no graph ran. */
int records_greedy(record_server *server, uint32_t payload_bytes) {
    server->context->on_step = note_run;
    server->context->on_text = note_token;
    server->context->user = server;
    server->report_words = 0;
    has_run = 0;
    const int code = records_speech(server, payload_bytes);
    if (has_run) {
        server->report[server->report_words++] = logits_crc32(server);
    }
    return code;
}
