/*
 * Rows on their way: who a mail is goes to qmgr, its document to a cleanup.
 */
#ifndef SMAILER_SQL_OFFER_H
#define SMAILER_SQL_OFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/channel.h"
#include "lib/message.h"
#include "sql/array.h"
#include "sql/row.h"

void offer_open(void);

/* Offers what can be offered now. To be called when anything has changed. */
void offer_pump(void);

/* Offers no more, and gives back what waits. */
void offer_stop(void);

/* Mails that qmgr has. */
size_t offer_count(void);

/* True where no row waits here, for a cleanup or for its content. */
bool offer_is_idle(void);

/* True where claimed rows wait for a cleanup, and not for qmgr. */
bool offer_waits_for_cleanup(void);

/* The row of that job; NULL where qmgr does not have it. */
struct row *offer_find(uint64_t job);

/* True where qmgr has the row with KEY although it was lost to other hosts. */
bool offer_has_lost(const char *key);

/* Gives back what a run has kept because it is over. */
void offer_release_held(void);

/* The connection broke: rows that were only claimed are not known any more. */
void offer_forget(void);

/* The keys of all that is in hand. */
void offer_add_keys(struct array *keys);

/* How a mail is called in the log: its hash is the key's, not the time's. */
uint64_t offer_hash(const char *key);

void offer_handle_room(struct channel *from, const struct message *message);
void offer_handle_finished(struct channel *from, const struct message *message);
void offer_handle_parked(struct channel *from, const struct message *message);
void offer_handle_wanted(struct channel *from, const struct message *message);

#endif
