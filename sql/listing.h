/*
 * Listings: who the rows are is told to control, what is in them is read by the last cleanup.
 */
#ifndef SMAILER_SQL_LISTING_H
#define SMAILER_SQL_LISTING_H

#include "lib/channel.h"
#include "lib/message.h"

void listing_open(void);

/* Goes on as far as there is room. To be called when the last cleanup has some again. */
void listing_pump(void);

void listing_handle(struct channel *from, const struct message *message);
void listing_handle_room(struct channel *from, const struct message *message);
void listing_handle_cancel(struct channel *from, const struct message *message);

/* Control is gone. */
void listing_cancel_all(void);

#endif
