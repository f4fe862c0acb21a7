/* SPDX-License-Identifier: Apache-2.0 */
/* Drives stapes_bind from stdin. Commands: layout 16 bytes, bytes of the arrays u32, bytes to step
 * off alignment u32, bytes u32, the file. Replies, u32 each: what stapes_bind says, what
 * stapes_check says then, the file's CRC-32 over its two halves. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stapes/crc32.h"
#include "stapes/stapes.h"

int main(void) {
    stapes_weights wanted;
    uint32_t command[3];
    while (fread(wanted.layout, 1, 16, stdin) == 16 && fread(command, 4, 3, stdin) == 3) {
        const size_t bytes = command[2];
        /* malloc aligns to 16; ends where the file ends, for the sanitizer */
        uint8_t *const memory = malloc(command[1] + bytes + 1);
        if (memory == NULL || fread(memory + command[1], 1, bytes, stdin) != bytes) {
            abort();
        }
        uint8_t *const all = realloc(memory, command[1] + bytes == 0 ? 1 : command[1] + bytes);
        uint8_t *const blob = all + command[1];
        wanted.bytes = command[0];
        const stapes_model model = {NULL, 0, 0, NULL, NULL, &wanted};
        stapes_context context = {.bound = &wanted, .weights = blob};
        const stapes_status status = stapes_bind(&model, &context, blob, bytes);
        const int bound = status == STAPES_OK;
        if ((context.weights == blob + 64) != bound || (context.bound == &wanted) != bound) {
            abort();
        }
        const uint32_t crc = stapes_crc32(0, blob, bytes / 2);
        const uint32_t reply[3] = {(uint32_t)status, (uint32_t)stapes_check(&model, &context),
                                   stapes_crc32(crc, blob + bytes / 2, bytes - bytes / 2)};
        fwrite(reply, 4, 3, stdout);
        free(all);
    }
    return 0;
}
