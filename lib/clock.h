/*
 * The two clocks in milliseconds: of the wall, for what is recorded, and the monotonic one, for
 * what is waited for.
 */
#ifndef SMAILER_CLOCK_H
#define SMAILER_CLOCK_H

#include <stdint.h>

/* Since the epoch. */
int64_t clock_now_ms(void);

/* Since some time before; never jumps. */
int64_t clock_monotonic_ms(void);

#endif
