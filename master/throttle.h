/*
 * How long to wait before something that failed is started again.
 */
#ifndef SMAILER_MASTER_THROTTLE_H
#define SMAILER_MASTER_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds until what WORKED, or did not in the SERVED milliseconds since it was ready, starts
 * again: none for what did a job, or was well for some seconds, for not all have a job to do; else
 * 1 s, and twice as much with each of the *FAILURES (which are counted here) in a row, up to a
 * minute. */
int64_t throttle_delay(unsigned *failures, bool worked, int64_t served);

#endif
