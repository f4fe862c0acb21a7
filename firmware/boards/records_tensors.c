/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include "board.h"

/* The payload goes straight into the first graph's inputs: no copy is kept. */
int records_tensors(record_server *server, uint32_t payload_bytes) {
    const stapes_graph *const graph = &server->model->graphs[0];
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < graph->input_count; i++) {
        wanted += graph->inputs[i].bytes;
    }
    server->status = stapes_check(server->model, server->context);
    if (server->status == STAPES_OK && payload_bytes != wanted) {
        server->status = STAPES_ERROR_ARGUMENT;
    }
    if (server->status != STAPES_OK) {
        return records_skip(payload_bytes);
    }
    for (uint32_t i = 0; i < graph->input_count; i++) {
        void *const input = stapes_input(server->model, server->context, 0, i);
        if (board_read(input, graph->inputs[i].bytes) != graph->inputs[i].bytes) {
            return BOARD_ERROR_INPUT;
        }
    }
    const uint64_t before = board_instructions();
    for (uint32_t i = 0; i < server->model->graph_count && server->status == STAPES_OK; i++) {
        server->status = stapes_run(server->model, server->context, i);
    }
    server->instructions = board_instructions() - before;
    return BOARD_OK;
}
