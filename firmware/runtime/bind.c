/* SPDX-License-Identifier: Apache-2.0 */
#include "stapes/crc32.h"
#include "stapes/stapes.h"

/*
 * A file of weights, little-endian; codegen/emit/weights.py writes it.
 *
 *    0  4 bytes   "STPW"
 *    4  uint32    version of the format
 *    8  uint32    bytes of the arrays
 *   12  uint32    CRC-32 of all that follows: bytes 16 to 63, and the arrays
 *   16  16 bytes  stapes_weights.layout
 *   32  32 bytes  SHA-256 of the model that they come from, for people to read
 *   64            the arrays
 */
enum {
    VERSION_AT = 4,
    BYTES_AT = 8,
    CRC_AT = 12,
    LAYOUT_AT = 16,
    HEADER_BYTES = 64,
    FORMAT_VERSION = 1
};

static uint32_t read_u32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static int is_equal(const uint8_t *a, const uint8_t *b, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (a[i] != b[i]) {
            return 0;
        }
    }
    return 1;
}

/* Whether `bytes` bytes at `blob` begin with these weights, or why not. */
static stapes_status check(const stapes_weights *wanted, const uint8_t *blob, size_t bytes) {
    static const uint8_t magic[4] = {'S', 'T', 'P', 'W'};
    if (bytes < HEADER_BYTES) {
        return STAPES_ERROR_WEIGHTS_LENGTH;
    }
    if (!is_equal(blob, magic, sizeof magic)) {
        return STAPES_ERROR_WEIGHTS_MAGIC;
    }
    if (read_u32(blob + VERSION_AT) != FORMAT_VERSION) {
        return STAPES_ERROR_WEIGHTS_VERSION;
    }
    if (!is_equal(blob + LAYOUT_AT, wanted->layout, sizeof wanted->layout)) {
        return STAPES_ERROR_WEIGHTS_MODEL;
    }
    if (read_u32(blob + BYTES_AT) != wanted->bytes || bytes - HEADER_BYTES < wanted->bytes) {
        return STAPES_ERROR_WEIGHTS_LENGTH;
    }
    const size_t covered = HEADER_BYTES - LAYOUT_AT + wanted->bytes;
    if (stapes_crc32(0, blob + LAYOUT_AT, covered) != read_u32(blob + CRC_AT)) {
        return STAPES_ERROR_WEIGHTS_CHECKSUM;
    }
    return STAPES_OK;
}

stapes_status stapes_bind(const stapes_model *model, stapes_context *context, const void *blob,
                          size_t bytes) {
    if (model == NULL || model->weights == NULL || context == NULL || blob == NULL) {
        return STAPES_ERROR_ARGUMENT;
    }
    context->bound = NULL;
    context->weights = NULL;
    if ((uintptr_t)blob % STAPES_WEIGHTS_ALIGNMENT != 0) {
        return STAPES_ERROR_WEIGHTS_ALIGNMENT;
    }
    const uint8_t *const file = blob;
    const stapes_status status = check(model->weights, file, bytes);
    if (status == STAPES_OK) {
        context->bound = model->weights;
        context->weights = file + HEADER_BYTES;
    }
    return status;
}
