/* SPDX-License-Identifier: Apache-2.0 */
/* For compilers that come without a C library's headers; the functions come with the compiler. */
#ifndef STAPES_STRING_H
#define STAPES_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memset(void *to, int value, size_t count);

#endif
