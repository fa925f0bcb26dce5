/*
 * Listings of sendmail's queue for mailq: what stands in the control files, read here, where
 * nothing can be written.
 */
#ifndef SMAILER_PICKUP_JOBS_H
#define SMAILER_PICKUP_JOBS_H

#include "lib/channel.h"
#include "lib/message.h"

void jobs_open(void);

void jobs_handle(struct channel *from, const struct message *message);
void jobs_handle_room(struct channel *from, const struct message *message);
void jobs_handle_cancel(struct channel *from, const struct message *message);

/* Control is gone. */
void jobs_cancel_all(void);

#endif
