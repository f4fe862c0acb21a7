/* SPDX-License-Identifier: Apache-2.0 */
/* The checksum of files of weights, and of what tests compare. */
#ifndef STAPES_CRC32_H
#define STAPES_CRC32_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The CRC-32 of the bytes before, whose CRC-32 is `crc` (0 for none), and of these. */
uint32_t stapes_crc32(uint32_t crc, const void *bytes, size_t count);

#ifdef __cplusplus
}
#endif

#endif
