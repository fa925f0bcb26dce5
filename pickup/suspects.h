/*
 * Mails with strikes: each waits until the last cleanup has nothing else in hand, and is parsed
 * there alone.
 */
#ifndef SMAILER_PICKUP_SUSPECTS_H
#define SMAILER_PICKUP_SUSPECTS_H

#include <stdbool.h>

#include "pickup/base.h"

struct suspect {
    struct base *base;
    struct candidate candidate;
};

/* Keeps CANDIDATE of BASE, with its name. False where too many are kept already. */
bool suspects_add(struct base *base, const struct candidate *candidate);

/* The first that qmgr would take: a base that cannot be used holds up no other's. False where there
 * is none. It is the caller's. */
bool suspects_take(struct suspect *suspect);

/* True where there is one. */
bool suspects_wait(void);

#endif
