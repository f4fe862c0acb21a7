/* SPDX-License-Identifier: Apache-2.0 */
/* Const arrays out of a binary file: megabytes that a compiler need not parse. For GNU as and
 * clang, which look for the file where they look for headers. */
#ifndef STAPES_INCBIN_H
#define STAPES_INCBIN_H

/* See STAPES_WEIGHTS_SECTION of stapes/generated.h. */
#ifndef STAPES_WEIGHTS_SECTION_NAME
#define STAPES_WEIGHTS_SECTION_NAME ".rodata.stapes_weights"
#endif

/* The array `symbol` of `count` bytes from byte `skip` of `file` on. */
#define STAPES_INCBIN(symbol, alignment, file, skip, count)                                        \
    STAPES_INCLUDED(STAPES_WEIGHTS_SECTION_NAME, symbol, alignment, file, skip, count)

/* The same for STAPES_WEIGHTS_IN(region). */
#ifndef STAPES_WEIGHTS_SECTION_OF
#define STAPES_WEIGHTS_SECTION_OF(region) ".rodata.stapes_weights." region
#endif
#define STAPES_INCBIN_IN(region, symbol, alignment, file, skip, count)                             \
    STAPES_INCLUDED(STAPES_WEIGHTS_SECTION_OF(region), symbol, alignment, file, skip, count)

#define STAPES_INCLUDED(section, symbol, alignment, file, skip, count)                             \
    __asm__(".section " section ", \"a\"\n"                                                        \
            ".balign " #alignment "\n"                                                             \
            ".global " #symbol "\n"                                                                \
            ".type " #symbol ", %object\n"                                                         \
            ".size " #symbol ", " #count "\n" #symbol ":\n"                                        \
            ".incbin \"" file "\", " #skip ", " #count "\n"                                        \
            ".previous\n")

#endif
