/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/crc32.h"

/* A nibble's remainders: 64 bytes, where a byte's take 1 KiB. */
static const uint32_t remainders[16] = {
    0x00000000u, 0x1DB71064u, 0x3B6E20C8u, 0x26D930ACu, 0x76DC4190u, 0x6B6B51F4u,
    0x4DB26158u, 0x5005713Cu, 0xEDB88320u, 0xF00F9344u, 0xD6D6A3E8u, 0xCB61B38Cu,
    0x9B64C2B0u, 0x86D3D2D4u, 0xA00AE278u, 0xBDBDF21Cu,
};

/*
 * The CRC-32 of ISO 3309 and zlib: polynomial 0xEDB88320, bits reflected, complemented before
 * and after. crc is that of the bytes before, 0 for none.
 */
uint32_t stapes_crc32(uint32_t crc, const void *bytes, size_t count) {
    const uint8_t *const data = bytes;
    crc = ~crc;
    for (size_t i = 0; i < count; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ remainders[crc & 15u];
        crc = crc >> 4 ^ remainders[crc & 15u];
    }
    return ~crc;
}
