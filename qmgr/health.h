/*
 * Whether an account's relay is well: how often one that fails is probed.
 */
#ifndef SMAILER_QMGR_HEALTH_H
#define SMAILER_QMGR_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/outcome.h"

struct health {
    bool down;
    int64_t probe_at; /* ms since 1970: no connection before that */
    int64_t interval; /* ms: the gap before the next probe after this one */
    enum stage stage;
    uint32_t code;
    char enhanced[16];
    char relay[321];
    char words[1001]; /* why, as the relay or the system said */
};

/* The gaps between probes: the first, and the most, in ms. */
struct health_gaps {
    int64_t first;
    int64_t most;
};

/* A connection failed at NOW (ms). The gaps double from the first to the most; of a refused login
 * from the most to a day, for hammering it would lock the account. The words are the caller's to
 * fill. */
void health_note_failure(
    struct health *health, const struct health_gaps *gaps, enum stage stage, int64_t now);

void health_note_success(struct health *health);

/* True where a connection may be tried at NOW (ms): the relay is well, or a probe is due. A clock
 * that was set back does not make the wait longer than the gap. */
bool health_allows(const struct health *health, int64_t now);

/* Lets the next probe be at once. */
void health_probe_now(struct health *health);

#endif
