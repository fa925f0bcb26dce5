/*
 * The accounts' tokens: kept while they last, got by their commands when one is asked for.
 */
#ifndef SMAILER_TOKEN_ACCOUNT_H
#define SMAILER_TOKEN_ACCOUNT_H

#include "lib/channel.h"

/* For the accounts of the configuration. */
void accounts_open(void);

/* smtp wants an account's token for one of its workers. It is sent at once where one is at hand
 * that was not refused; else the account's command is run, once for all that ask meanwhile. */
void account_handle_ask(struct channel *from, const struct message *message);

#endif
