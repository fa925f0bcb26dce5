/*
 * What qmgr says of the mails that it was offered, and what is remembered of it.
 */
#ifndef SMAILER_PICKUP_ANSWER_H
#define SMAILER_PICKUP_ANSWER_H

#include "lib/channel.h"
#include "lib/message.h"

void answer_handle_room(struct channel *from, const struct message *message);
void answer_handle_finished(struct channel *from, const struct message *message);
void answer_handle_parked(struct channel *from, const struct message *message);
void answer_handle_wanted(struct channel *from, const struct message *message);

#endif
