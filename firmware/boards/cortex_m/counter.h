/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions by SysTick: under QEMU's -icount every instruction takes the same virtual time. */
#ifndef STAPES_COUNTER_H
#define STAPES_COUNTER_H

/* Start counting; board_instructions() reads. */
void counter_start(void);

/* SysTick's interrupt: the 24-bit counter wrapped. */
void counter_wrapped(void);

#endif
