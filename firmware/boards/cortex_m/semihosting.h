/* SPDX-License-Identifier: Apache-2.0 */
/* Semihosting (Arm IHI "Semihosting for AArch32 and AArch64"): files and exit by the emulator. */
#ifndef STAPES_SEMIHOSTING_H
#define STAPES_SEMIHOSTING_H

#include <stddef.h>

/* Leave the emulator with this exit code. */
_Noreturn void semihosting_exit(int code);

/* Print a string that ends in NUL. */
void semihosting_print(const char *text);

#endif
