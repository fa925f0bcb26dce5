/*
 * How many connections an account may have, learnt from its relay as Postfix does: fewer where it
 * refuses some while others are up, slowly more where mails go through.
 */
#ifndef SMAILER_QMGR_CONCURRENCY_H
#define SMAILER_QMGR_CONCURRENCY_H

#include <stdbool.h>
#include <stdint.h>

struct concurrency {
    double window;
    uint32_t most; /* what the account is allowed */
    int64_t gap; /* ms without growth after a refusal */
    int64_t grow_at; /* ms, monotonic: no growth before */
    bool grown; /* since the last refusal */
};

/* It begins with as many as it may have. */
void concurrency_init(struct concurrency *concurrency, uint32_t most);

/* The relay refused a connection or ended one, while UP others stand.
 * True where fewer are allowed from now on. */
bool concurrency_note_refusal(struct concurrency *concurrency, uint32_t up, int64_t now);

/* The relay took a mail: with as many of them as there are connections, one more is allowed. */
void concurrency_note_success(struct concurrency *concurrency, int64_t now);

/* At least 1. */
uint32_t concurrency_allowed(const struct concurrency *concurrency);

#endif
