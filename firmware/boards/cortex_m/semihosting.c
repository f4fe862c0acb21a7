/* SPDX-License-Identifier: Apache-2.0 */
#include "semihosting.h"

#include <stdint.h>

#include "board.h"

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20
};

enum { MODE_READ_BINARY = 1, MODE_WRITE = 4, MODE_WRITE_BINARY = 5 };

#define STOPPED_BY_APPLICATION 0x20026u

/* File handles, which are never 0. */
static int32_t console;
static int32_t input;
static int32_t output;

static int32_t call(uint32_t operation, const void *arguments) {
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = arguments;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (int32_t)r0;
}

static uint32_t address(const void *pointer) {
    return (uint32_t)(uintptr_t)pointer;
}

_Noreturn void semihosting_exit(int code) {
    const uint32_t arguments[2] = {STOPPED_BY_APPLICATION, (uint32_t)code};
    for (;;) {
        call(SYS_EXIT_EXTENDED, arguments);
    }
}

void semihosting_print(const char *text) {
    call(SYS_WRITE0, text);
}

static int32_t open_file(const char *name, uint32_t mode) {
    uint32_t length = 0;
    while (name[length] != '\0') {
        length++;
    }
    const uint32_t arguments[3] = {address(name), mode, length};
    return call(SYS_OPEN, arguments);
}

static int32_t close_file(int32_t file) {
    const uint32_t arguments[1] = {(uint32_t)file};
    return call(SYS_CLOSE, arguments);
}

/* SYS_WRITE returns the bytes that it did not write. */
static uint32_t write_file(int32_t file, const void *bytes, size_t count) {
    const uint32_t arguments[3] = {(uint32_t)file, address(bytes), (uint32_t)count};
    return (uint32_t)call(SYS_WRITE, arguments);
}

/* The emulator's command line: the firmware's name and two file names, split at spaces. */
int board_open(int argc, char **argv) {
    char line[128] = {0};
    const uint32_t arguments[2] = {address(line), sizeof line};
    char *names[3] = {line, NULL, NULL};
    int count = 1;
    (void)argc;
    (void)argv;
    if (call(SYS_GET_CMDLINE, arguments) != 0) {
        return BOARD_ERROR_USAGE;
    }
    for (char *at = line; *at != '\0'; at++) {
        if (*at == ' ') {
            *at = '\0';
            if (count == 3) {
                return BOARD_ERROR_USAGE;
            }
            names[count++] = at + 1;
        }
    }
    if (count != 3) {
        return BOARD_ERROR_USAGE;
    }
    console = open_file(":tt", MODE_WRITE);
    input = open_file(names[1], MODE_READ_BINARY);
    output = open_file(names[2], MODE_WRITE_BINARY);
    return input > 0 && output > 0 ? BOARD_OK : BOARD_ERROR_FILE;
}

int board_close(void) {
    const int closed = output <= 0 || close_file(output) == 0;
    return closed ? BOARD_OK : BOARD_ERROR_FILE;
}

/* SYS_READ returns the bytes that it did not read. */
size_t board_read(void *bytes, size_t count) {
    const uint32_t arguments[3] = {(uint32_t)input, address(bytes), (uint32_t)count};
    return count - (uint32_t)call(SYS_READ, arguments);
}

int board_write(const void *bytes, size_t count) {
    return count == 0 || write_file(output, bytes, count) == 0 ? BOARD_OK : BOARD_ERROR_FILE;
}

void board_print(const char *text, size_t count) {
    if (count != 0 && console > 0) {
        write_file(console, text, count);
    }
}
