/* SPDX-License-Identifier: Apache-2.0 */
/* The two functions of <string.h> that the runtime needs: a freestanding compiler may lack the
 * header, but must provide the functions. */
#ifndef STAPES_MEMORY_H
#define STAPES_MEMORY_H

#include <stddef.h>

void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);

#endif
