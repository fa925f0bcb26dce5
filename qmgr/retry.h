/*
 * What a try that did not end with "sent" makes of a mail's record, and of the mail. Nothing here
 * touches a disk or reads a clock.
 */
#ifndef SMAILER_RETRY_H
#define SMAILER_RETRY_H

#include "queue/queue.h"

struct retry_rules {
    int64_t retry_interval; /* ms */
    uint32_t max_attempts;
};

/* What happened. Empty texts are NULL or "". */
struct retry_event {
    int64_t now; /* ms since the epoch */
    const char *id;
    const char *stage; /* of the SMTP session; empty: it never came to a try */
    uint32_t code; /* the server's reply code, or 0 */
    const char *reason;
};

/* Each changes RECORD, the mail's old one (all zero but the name where it had none), into the new
 * one, and returns the state that the mail gets. */

/* Refused for now: MAIL_DEFERRED, or MAIL_DROPPED after the last attempt. */
enum mail_state retry_defer(
    const struct retry_rules *rules, const struct retry_event *event, struct mail_record *record);

/* Refused for good: MAIL_DROPPED. */
enum mail_state retry_drop(
    const struct retry_rules *rules, const struct retry_event *event, struct mail_record *record);

/* A program died with the mail in hand. It stays in PLACE, to be tried again alone, until the third
 * time in a row, which defers it like any refusal; so does every further one. */
enum mail_state retry_strike(const struct retry_rules *rules, const struct retry_event *event,
    enum mail_state place, struct mail_record *record);

#endif
