/* SPDX-License-Identifier: Apache-2.0 */
/* What the record server needs of a board; host and emulated boards each provide it. */
#ifndef STAPES_BOARD_H
#define STAPES_BOARD_H

#include <stddef.h>
#include <stdint.h>

/* Exit codes of the firmware. */
enum {
    BOARD_OK = 0,
    BOARD_ERROR_USAGE = 3, /* not called as `firmware INPUT OUTPUT` */
    BOARD_ERROR_FILE = 4,  /* a file cannot be opened, read or written */
    BOARD_ERROR_INPUT = 5, /* the input ends inside a record */
    BOARD_ERROR_FAULT = 99 /* the core took a fault */
};

/* Read up to `capacity` bytes of the file of weights that the third argument names; the bytes read.
 * For boards without memory that somebody else loads. */
size_t board_load(int argc, char **argv, void *bytes, size_t capacity);

/* Open the input and output files named by the arguments; BOARD_OK or an exit code. */
int board_open(int argc, char **argv);

/* Close the files; BOARD_OK or an exit code. */
int board_close(void);

/* Read up to `count` bytes of the input; the bytes read, fewer only at its end. */
size_t board_read(void *bytes, size_t count);

/* Append to the output; BOARD_OK or an exit code. */
int board_write(const void *bytes, size_t count);

/* Print to the console. */
void board_print(const char *text, size_t count);

/* Instructions executed since the start, 0 where the board cannot count them. */
uint64_t board_instructions(void);

#endif
