/* SPDX-License-Identifier: Apache-2.0 */
/* Records in, records out: the protocol of every board's main.
 *
 * Input:  {uint32 bytes, payload} repeated, little-endian. The payload is 16-bit PCM for a speech
 *         model, the input tensors one after another for any other.
 * Output: {uint32 status, uint64 instructions, uint32 bytes, text, uint32 bytes, outputs of the
 *         last graph} for each input record; of a model that decodes token by token the outputs
 *         are those of records_greedy.c.
 */
#ifndef STAPES_RECORDS_H
#define STAPES_RECORDS_H

#include "stapes/stapes.h"

typedef struct record_server record_server;

/* Consume the payload of one record and leave status, instructions and text in the server. */
typedef int (*record_handler)(record_server *server, uint32_t payload_bytes);

struct record_server {
    const stapes_model *model;
    stapes_context *context;
    char *text;
    size_t text_capacity;
    stapes_status bound; /* what stapes_bind said: each record's status unless STAPES_OK */
    /* What one record came to. */
    stapes_status status;
    uint64_t instructions;
    size_t text_bytes;
    /* Goes out in place of the last graph's outputs, unless null: of records_greedy, with room for
     * two words a token and one more. */
    uint32_t *report;
    uint32_t report_words;
};

/* Serve all records of the input file; the process's exit code. */
int records_serve(record_server *server, record_handler handle, int argc, char **argv);

/* Read past `count` bytes of the input; BOARD_OK or an exit code. */
int records_skip(uint32_t count);

/* The handlers. */
int records_speech(record_server *server, uint32_t payload_bytes);
int records_greedy(record_server *server, uint32_t payload_bytes);
int records_tensors(record_server *server, uint32_t payload_bytes);

#endif
