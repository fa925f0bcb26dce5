/*
 * What qmgr knows that `smailer status` shows: workers, and accounts.
 */
#ifndef SMAILER_QMGR_STATUS_H
#define SMAILER_QMGR_STATUS_H

#include "lib/channel.h"
#include "lib/message.h"

void status_handle(struct channel *from, const struct message *message);

#endif
