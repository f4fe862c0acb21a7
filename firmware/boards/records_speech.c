/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include "board.h"

#define BLOCK_SAMPLES 160u /* 10 ms at 16 kHz: the size that a microphone driver hands over */

/* PCM streams through one block, as in a product: the recording is never held whole. */
static int16_t pcm_block[BLOCK_SAMPLES];

int records_speech(record_server *server, uint32_t payload_bytes) {
    uint64_t before = board_instructions();
    server->status = stapes_begin(server->model, server->context);
    server->instructions = board_instructions() - before;
    if (server->status == STAPES_OK && payload_bytes % sizeof pcm_block[0] != 0) {
        server->status = STAPES_ERROR_ARGUMENT;
    }
    while (payload_bytes > 0 && server->status == STAPES_OK) {
        const size_t bytes = payload_bytes < sizeof pcm_block ? payload_bytes : sizeof pcm_block;
        if (board_read(pcm_block, bytes) != bytes) {
            return BOARD_ERROR_INPUT;
        }
        payload_bytes -= (uint32_t)bytes;
        before = board_instructions();
        server->status =
            stapes_feed(server->model, server->context, pcm_block, bytes / sizeof pcm_block[0]);
        server->instructions += board_instructions() - before;
    }
    if (server->status != STAPES_OK) {
        return records_skip(payload_bytes);
    }
    before = board_instructions();
    server->status = stapes_finish(server->model, server->context, server->text,
                                   server->text_capacity, &server->text_bytes);
    server->instructions += board_instructions() - before;
    return BOARD_OK;
}
