/*
 * How many mails are in which state, base by base: counted when somebody asks.
 */
#ifndef SMAILER_PICKUP_STATUS_H
#define SMAILER_PICKUP_STATUS_H

#include "lib/channel.h"
#include "lib/message.h"

void status_open(void);
void status_handle(struct channel *from, const struct message *message);

#endif
