/*
 * What became of mails, on its way into the database: into the journal first, then in batches.
 */
#ifndef SMAILER_SQL_RECORD_H
#define SMAILER_SQL_RECORD_H

#include <stdbool.h>

#include "lib/channel.h"
#include "lib/message.h"
#include "sql/array.h"

/* Reads what the journal has. */
void record_open(void);

/* Sends what there is. */
void record_pump(void);

/* True where something is not in the database yet. */
bool record_is_busy(void);

/* True where the journal of an earlier process has what became of the row with KEY, and the
 * database has not. */
bool record_knows(const char *key);

/* The keys of rows whose fate the database does not know. */
void record_add_keys(struct array *keys);

void record_handle(struct channel *from, const struct message *message);

#endif
