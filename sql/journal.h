/*
 * What became of mails and is not in the database yet: kept on the disk until it is, so that a mail
 * that was sent is not sent again because the database was away.
 *
 * Two files take turns. One is emptied when all that it holds is in the database, which the journal
 * is told by journal_settle(). What the system has is safe from the death of a process; against a
 * power cut it is synced, where the database does not answer within commit_interval.
 */
#ifndef SMAILER_SQL_JOURNAL_H
#define SMAILER_SQL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/error.h"

/* What became of a row. */
struct result {
    TAILQ_ENTRY(result) next;
    uint64_t number; /* of the journal's */
    uint64_t job; /* 0: it was read from the journal */
    int64_t recorded_at; /* ms since the epoch */
    uint32_t state; /* enum mail_state */
    uint32_t attempts;
    uint32_t strikes;
    uint32_t code;
    uint64_t retry_in; /* ms */
    char version[24];
    char *key;
    char *stage;
    char *reason;
    char *id;
    bool again; /* it was sent to the database before, which did not answer */
    bool single; /* it goes alone, for it, or one beside it, was refused */
    int64_t not_before; /* ms, monotonic: it was refused, and is tried again then */
};

TAILQ_HEAD(result_list, result);

void result_free(struct result *result);

/* Opens the files in DIRECTORY, before the sandbox. TABLE names whose results they hold. */
bool journal_open(const char *directory, const char *table, struct error *error);

/* Reads what was not settled, in order, into RESULTS. */
void journal_read(struct result_list *results);

/* Appends RESULT and numbers it. A disk that fails is logged. */
void journal_append(struct result *result);

/* That one is in the database. */
void journal_settle(const struct result *result);

/* True where something was appended that is neither settled nor synced. */
bool journal_needs_sync(void);
void journal_sync(void);

/* The name under which this host claims rows: HOST and a random part, made the first time. */
const char *journal_claimant(void);

#endif
