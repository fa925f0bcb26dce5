/*
 * smailer's programs, started from here: for one conversation, or as the daemon.
 */
#ifndef SMAILER_TREE_H
#define SMAILER_TREE_H

#include "cli/conversation.h"
#include "cli/options.h"
#include "cli/place.h"

/* Starts the programs, holds the conversation with them, and waits until they ended. Returns the
 * exit status. */
int tree_ask(const struct place *place, const struct options *options,
    const struct conversation *conversation, const struct message *question);

/* Returns only where it fails. */
int tree_become_daemon(const struct place *place, const struct options *options);

#endif
