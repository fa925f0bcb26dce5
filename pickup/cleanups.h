/*
 * The cleanup processes, and how much each of them takes. The last one is apart: it serves
 * listings, and mails with a strike, one at a time.
 */
#ifndef SMAILER_PICKUP_CLEANUPS_H
#define SMAILER_PICKUP_CLEANUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/channel.h"
#include "lib/message.h"

#define CLEANUPS_MAX 65

void cleanups_joined(struct channel *channel);
void cleanups_left(struct channel *channel);

/* So many more files are taken by the one that says so. */
void cleanups_handle_room(struct channel *from, const struct message *message);

/* The instance with the most room; false where none has any. The last one is never chosen. */
bool cleanups_choose(uint32_t *instance);

/* How many processes INSTANCE has been so far: qmgr, which counts them too, knows by it which of
 * them was given a mail. */
uint32_t cleanups_incarnation(uint32_t instance);

/* The last instance's number. */
uint32_t cleanups_last(void);

/* True where the last instance takes a file now. */
bool cleanups_last_has_room(void);

/* True where the last instance has nothing in hand. */
bool cleanups_last_is_idle(void);

/* Hands what PARSE names, which stays the caller's, to INSTANCE, which must have room. */
void cleanups_parse(uint32_t instance, const struct message_parse *parse);

#endif
