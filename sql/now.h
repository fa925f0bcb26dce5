/*
 * The two clocks, in milliseconds.
 */
#ifndef SMAILER_SQL_NOW_H
#define SMAILER_SQL_NOW_H

#include <stdint.h>
#include <time.h>

static inline int64_t
now_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Since some time before; never jumps. */
static inline int64_t
now_monotonic_ms(void)
{
    return now_of(CLOCK_MONOTONIC);
}

/* Since the epoch. */
static inline int64_t
now_ms(void)
{
    return now_of(CLOCK_REALTIME);
}

#endif
