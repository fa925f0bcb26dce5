/*
 * How long to wait before something that failed is started again.
 */
#ifndef SMAILER_MASTER_THROTTLE_H
#define SMAILER_MASTER_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds until what WORKED, or did not in the LIVED milliseconds it had, starts again: none
 * for what did its job or lived for long; else 1 s, and twice as much with each of the *FAILURES
 * (which are counted here) in a row, up to a minute. */
int64_t throttle_delay(unsigned *failures, bool worked, int64_t lived);

#endif
