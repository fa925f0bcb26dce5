/*
 * All the SQL there is: templates, made for one table. Names are quoted, values are parameters.
 */
#ifndef SMAILER_SQL_STATEMENT_H
#define SMAILER_SQL_STATEMENT_H

#include <stddef.h>

#include "sql/table.h"

/* STATEMENT(NAME, text): parameters are told in statement.c, beside each. */
enum statement {
    STATEMENT_REGISTER,
    STATEMENT_RENEW,
    STATEMENT_TAKE_OVER,
    STATEMENT_RECONCILE,
    STATEMENT_CLAIM,
    STATEMENT_CLAIM_DUE,
    STATEMENT_CLAIM_FORCED,
    STATEMENT_FETCH,
    STATEMENT_RELEASE,
    STATEMENT_RECORD,
    STATEMENT_ADOPT,
    STATEMENT_NEXT,
    STATEMENT_RUN,
    STATEMENT_SWEEP,
    STATEMENT_SWEEP_ORPHANS,
    STATEMENT_COUNT_FEW,
    STATEMENT_COUNT_SENT,
    STATEMENT_GUESS_ALL,
    STATEMENT_LIST,
    STATEMENT_KINDS
};

/* What is asked of a row that becomes a mail; the claims and the fetch give these. */
enum row_column {
    ROW_SENDER, /* the first of the sender's characters */
    ROW_KEY, /* NULL: no row, only a sender that was looked at */
    ROW_DEFERRED,
    ROW_ATTEMPTS,
    ROW_STRIKES,
    ROW_SEEN, /* ms since the epoch, by the database's clock */
    ROW_VERSION,
    ROW_OCTETS, /* of all fields */
    ROW_TIME, /* as fld_time, or "@" and seconds since the epoch */
    ROW_FIELD_SENDER, /* these are NULL where OCTETS is too much for one of many */
    ROW_FIELD_ADDRESS,
    ROW_FIELD_TOPIC,
    ROW_FIELD_CONTENT,
    ROW_COLUMNS
};

/* What a listing's rows have besides. */
enum list_column {
    LIST_STATE = ROW_COLUMNS, /* the status as it stands */
    LIST_NEXT_TRY, /* ms since the epoch, 0: none */
    LIST_REASON,
    LIST_CLAIMED
};

/* NAME in double quotes; this and the others: in memory of the caller's. */
char *statement_quote(const char *name);

char *statement_make(
    enum statement statement, const struct table *table, const struct queue_settings *settings);

/* The channel that new rows are told on, as a name without quotes. */
char *statement_channel(const struct table *table);

/* The steps of `smailer init`; NULL after the last. *WHAT says for people what a step makes. */
char *statement_init(size_t step, const struct table *table, const struct queue_settings *settings,
    const char **what);

#endif
