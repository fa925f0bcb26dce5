/*
 * A connection to the database, in the event loop: statements go out in a pipeline, each in a
 * transaction of its own, and their answers come when that is committed.
 */
#ifndef SMAILER_SQL_DATABASE_H
#define SMAILER_SQL_DATABASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

struct database;

/* RESULT is committed, or an error's; NULL: the connection broke before that was known. It is freed
 * right after. */
typedef void (*database_answer)(void *context, const PGresult *result);

struct database_events {
    void (*connected)(void);
    /* There is no connection, or none any more, for that REASON. Queries were answered with NULL.
     */
    void (*lost)(const char *reason);
    /* A NOTIFY came. May be NULL. */
    void (*notified)(void);
};

#define DATABASE_PARAMETERS_MOST 13

/* CONNINFO must live on. */
struct database *database_new(const char *conninfo, const struct database_events *events);

/* Connects in a thread, for libpq resolves names while the caller waits. */
void database_connect(struct database *database);

bool database_is_up(const struct database *database);

/* Gives the connection up; lost() is not called, queries are answered with NULL. */
void database_close(struct database *database);

/* The same, and lost() is called. */
void database_fail(struct database *database, const char *reason);

/* Sends SQL with COUNT parameters (NULL: NULL), as text. ANSWER may be NULL. Where
 * there is no connection, it is answered at once. */
void database_query(struct database *database, const char *sql, int count,
    const char *const *parameters, database_answer answer, void *context);

/* How long the oldest query waits for its answer, in ms; 0 where there is none. */
int64_t database_wait(const struct database *database);

/* Queries without an answer yet. */
size_t database_backlog(const struct database *database);

/* The words of an error, in one line; SIZE octets. */
void database_words(const PGresult *result, char *target, size_t size);

/* True where RESULT is there and no error. */
bool database_succeeded(const PGresult *result);

#endif
