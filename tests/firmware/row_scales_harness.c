/* SPDX-License-Identifier: Apache-2.0 */
/* Writes rows of a table as a decoder's input takes them. Command: a row's values, value bytes,
 * shift, zero point, row count, a row's bytes, bits, block size, bytes of scales; then the rows and
 * the scales. Reply: the rows. */
#include <stdio.h>
#include <stdlib.h>

#include "stapes_greedy.c"

static void *taken(size_t bytes) {
    void *const data = malloc(bytes); /* exact, for the sanitizer */
    if (data == NULL || fread(data, 1, bytes, stdin) != bytes) {
        abort();
    }
    return data;
}

int main(void) {
    static const stapes_context context;
    int32_t command[9];
    while (fread(command, sizeof command, 1, stdin) == 1) {
        const size_t width = (size_t)command[0], entries = (size_t)command[4];
        void *const rows = taken((size_t)command[5] * entries);
        void *const scales = taken((size_t)command[8]);
        const stapes_row_table table = {.rows = {.data = rows},
                                        .scales = {.data = scales},
                                        .value_bytes = (uint32_t)command[1],
                                        .row_bytes = (uint32_t)command[5],
                                        .row_values = (uint32_t)command[0],
                                        .bits = (uint32_t)command[6],
                                        .block_size = (uint32_t)command[7],
                                        .shift = command[2],
                                        .zero_point = command[3]};
        void *const target = malloc(width * table.value_bytes);
        if (target == NULL) {
            abort();
        }
        for (size_t row = 0; row < entries; row++) {
            write_row(&context, &table, row, target);
            fwrite(target, table.value_bytes, width, stdout);
        }
        free(target);
        free(scales);
        free(rows);
    }
    return 0;
}
