/*
 * The connection that rows are claimed and recorded over: its life from connecting to the lease,
 * and again after it broke.
 */
#ifndef SMAILER_SQL_SESSION_H
#define SMAILER_SQL_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/configuration.h"
#include "sql/database.h"
#include "sql/statement.h"
#include "sql/table.h"

/* What others do when it changes. */
struct session_events {
    /* It serves, again or for the first time. */
    void (*began)(void);
    void (*ended)(void);
    /* There are new rows, perhaps. */
    void (*notified)(void);
};

/* Finds this process's queue; false where there is none. Before the sandbox. */
bool session_prepare(void);

void session_open(const struct session_events *events);

/* This process's queue, and its number. */
const struct queue_settings *session_queue(void);
uint32_t session_queue_number(void);

/* Tells qmgr, who has just joined, until when the lease holds. */
void session_tell_lease(void);

/* Why the queue cannot be used, or "". */
const char *session_problem(void);

/* NULL before it was read. */
const struct table *session_table(void);

/* True where rows are claimed and the lease holds. */
bool session_serves(void);

/* How long it has served without a break, in ms. */
int64_t session_age(void);

/* How often the rows that had been claimed until then were lost to other hosts. */
uint32_t session_era(void);

/* Sends a statement; only while it serves. */
void session_query(enum statement statement, int count, const char *const *parameters,
    database_answer answer, void *context);

/* The same for one whose first parameters are the claimant and its session, which are put before
 * PARAMETERS. */
void session_query_own(enum statement statement, int count, const char *const *parameters,
    database_answer answer, void *context);

/* Something else is the claimant by now: tells qmgr that nothing is this host's, and connects again
 * after a while. */
void session_note_replaced(void);

/* RESULT of what smailer tried to do (WHAT) is an error: says so, and connects again after a
 * while. */
void session_note_failure(const char *what, const PGresult *result);

/* What is wrong, beside the connection; "": nothing. */
void session_note_trouble(const char *words);

/* Calls CALL as soon as the table is known, or why it is not. */
void session_await(void (*call)(void *context), void *context);

/* Connects at once, where it is waiting to. */
void session_hurry(void);

/* Statement KIND's text for the table, which must be known. */
const char *session_statement(enum statement statement);

#endif
