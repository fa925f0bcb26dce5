/*
 * The way to a smailer-control: that of the running master, or one of a tree of programs that is
 * started for this one question.
 */
#ifndef SMAILER_CONNECTION_H
#define SMAILER_CONNECTION_H

#include "cli/conversation.h"
#include "cli/options.h"

/* Where to ask. */
enum connection_choice {
    CONNECTION_RUNNING, /* the running smailer, or nobody */
    CONNECTION_ANY, /* the running one, or a tree of its own */
    CONNECTION_OWN /* a tree of its own, and only where none runs */
};

/* Holds the conversation, to its end; what went wrong was said. Returns the exit status. */
int connection_ask(const struct options *options, enum connection_choice choice,
    struct conversation *conversation, const struct message *question);

/* Becomes smailer-master in the background (--daemon); returns only where that fails. */
int connection_become_daemon(const struct options *options);

#endif
