/*
 * `smailer init`: makes what smailer needs beside the table, or says how.
 */
#ifndef SMAILER_SQL_INIT_H
#define SMAILER_SQL_INIT_H

#include "lib/channel.h"
#include "lib/message.h"

void init_handle(struct channel *from, const struct message *message);

#endif
