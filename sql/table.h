/*
 * The application's table, and what smailer has beside it: NAME_smailer, a row for each mail that
 * was begun and is not sent, and NAME_smailer_hosts, a row for each host that has claimed some.
 */
#ifndef SMAILER_SQL_TABLE_H
#define SMAILER_SQL_TABLE_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "lib/configuration.h"
#include "lib/error.h"

enum table_time { TABLE_TIME_TEXT, TABLE_TIME_STAMP, TABLE_TIME_STAMP_ZONE };

struct table {
    char *schema; /* these are as they are, not quoted */
    char *name;
    char *key;
    char *key_type; /* SQL's name for it, ready for use */
    enum table_time time;
    bool is_ready; /* smailer's own tables are there */
};

/* The question that table_read wants answered; its parameters are the table's quoted name and its
 * key's name or "". */
extern const char TABLE_QUESTION[];

/* "schema"."name" of SETTINGS' table, in memory of the caller's. */
char *table_quote_name(const struct queue_settings *settings);

/* Reads the ANSWER. NULL where the table cannot be a queue: ERROR says why. */
struct table *table_read(
    const PGresult *answer, const struct queue_settings *settings, struct error *error);

void table_free(struct table *table);

#endif
