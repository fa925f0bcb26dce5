/*
 * How many rows are in which state: counted when somebody asks.
 */
#ifndef SMAILER_SQL_STATUS_H
#define SMAILER_SQL_STATUS_H

#include "lib/channel.h"
#include "lib/message.h"

void status_open(void);
void status_handle(struct channel *from, const struct message *message);

#endif
