/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "board.h"

static FILE *input;
static FILE *output;

size_t board_load(int argc, char **argv, void *bytes, size_t capacity) {
    FILE *const file = argc == 4 ? fopen(argv[3], "rb") : NULL;
    const size_t got = file != NULL ? fread(bytes, 1, capacity, file) : 0;
    if (file != NULL) {
        fclose(file);
    }
    return got;
}

int board_open(int argc, char **argv) {
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: firmware INPUT OUTPUT [WEIGHTS]\n");
        return BOARD_ERROR_USAGE;
    }
    input = fopen(argv[1], "rb");
    output = fopen(argv[2], "wb");
    return input != NULL && output != NULL ? BOARD_OK : BOARD_ERROR_FILE;
}

int board_close(void) {
    int failed = 0;
    if (input != NULL) {
        failed |= fclose(input);
    }
    if (output != NULL) {
        failed |= fclose(output);
    }
    return failed == 0 ? BOARD_OK : BOARD_ERROR_FILE;
}

size_t board_read(void *bytes, size_t count) {
    return fread(bytes, 1, count, input);
}

int board_write(const void *bytes, size_t count) {
    /* a null pointer comes with a count of 0 */
    const size_t written = count == 0 ? 0 : fwrite(bytes, 1, count, output);
    return written == count ? BOARD_OK : BOARD_ERROR_FILE;
}

void board_print(const char *text, size_t count) {
    fwrite(text, 1, count, stdout);
}

uint64_t board_instructions(void) {
    return 0;
}
