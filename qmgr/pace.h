/*
 * How fast mails leave a lane.
 */
#ifndef SMAILER_QMGR_PACE_H
#define SMAILER_QMGR_PACE_H

#include <stdint.h>

/* What is counted over, in ms. */
#define PACE_MS INT64_C(250)

struct pace {
    int64_t since; /* ms, monotonic: when the interval under way began */
    uint32_t left; /* mails that left in it */
    uint32_t before; /* and in the one before */
};

/* The lane gets its first mail at NOW: nothing is known yet. */
void pace_begin(struct pace *pace, int64_t now);

/* A mail leaves it. */
void pace_note(struct pace *pace, int64_t now);

/* How many leave it in PACE_MS; UINT32_MAX where that is not known yet. */
uint32_t pace_of(struct pace *pace, int64_t now);

#endif
