/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include "board.h"

static int write_u32(uint32_t value) {
    const uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 24)};
    return board_write(bytes, sizeof bytes);
}

int records_skip(uint32_t count) {
    uint8_t bytes[64];
    while (count > 0) {
        const size_t wanted = count < sizeof bytes ? count : sizeof bytes;
        if (board_read(bytes, wanted) != wanted) {
            return BOARD_ERROR_INPUT;
        }
        count -= (uint32_t)wanted;
    }
    return BOARD_OK;
}

static int write_outputs(const record_server *server) {
    const uint32_t last = server->model->graph_count - 1;
    const stapes_graph *const graph = &server->model->graphs[last];
    uint32_t tensor_bytes = 0;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        tensor_bytes += graph->outputs[i].bytes;
    }
    int code = write_u32(tensor_bytes);
    for (uint32_t i = 0; code == BOARD_OK && i < graph->output_count; i++) {
        code = board_write(stapes_output(server->model, server->context, last, i),
                           graph->outputs[i].bytes);
    }
    return code;
}

static int write_report(const record_server *server) {
    const uint32_t bytes = 4 * server->report_words;
    const int code = write_u32(bytes);
    return code != BOARD_OK ? code : board_write(server->report, bytes);
}

static int write_result(const record_server *server) {
    int code = write_u32((uint32_t)server->status);
    code = code != BOARD_OK ? code : write_u32((uint32_t)server->instructions);
    code = code != BOARD_OK ? code : write_u32((uint32_t)(server->instructions >> 32));
    code = code != BOARD_OK ? code : write_u32((uint32_t)server->text_bytes);
    code = code != BOARD_OK ? code : board_write(server->text, server->text_bytes);
    if (code == BOARD_OK && server->status != STAPES_OK) {
        code = write_u32(0);
    } else if (code == BOARD_OK) {
        code = server->report != NULL ? write_report(server) : write_outputs(server);
    }
    if (server->text_capacity != 0) {
        board_print(server->text, server->text_bytes);
        board_print("\n", 1);
    }
    return code;
}

int records_serve(record_server *server, record_handler handle, int argc, char **argv) {
    int code = board_open(argc, argv);
    uint8_t header[4];
    size_t got = 0;
    while (code == BOARD_OK && (got = board_read(header, sizeof header)) == sizeof header) {
        const uint32_t bytes = (uint32_t)header[0] | (uint32_t)header[1] << 8 |
                               (uint32_t)header[2] << 16 | (uint32_t)header[3] << 24;
        server->status = server->bound;
        server->instructions = 0;
        server->text_bytes = 0;
        code = server->status == STAPES_OK ? handle(server, bytes) : records_skip(bytes);
        code = code != BOARD_OK ? code : write_result(server);
    }
    if (code == BOARD_OK && got != 0) {
        code = BOARD_ERROR_INPUT;
    }
    const int closed = board_close();
    return code != BOARD_OK ? code : closed;
}
