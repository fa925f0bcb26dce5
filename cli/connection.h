/*
 * The way to a smailer-control: that of the running master, or one of a tree of programs that is
 * started for this one question.
 */
#ifndef SMAILER_CONNECTION_H
#define SMAILER_CONNECTION_H

#include <stdbool.h>

#include "cli/conversation.h"
#include "cli/options.h"

/* Where to ask. */
enum connection_choice {
    CONNECTION_RUNNING, /* the running smailer, or nobody */
    CONNECTION_ANY, /* the running one, or a tree of its own */
    CONNECTION_OWN, /* a tree of its own, and only where none runs */
    CONNECTION_BESIDE /* a tree of its own, whatever runs */
};

/* Holds the conversation, to its end; what went wrong was said. Returns the exit status. */
int connection_ask(const struct options *options, enum connection_choice choice,
    struct conversation *conversation, const struct message *question);

/* Asks the smailer whose control socket is in RUN_DIRECTORY. Returns the exit status, or -1, in
 * silence, where none is there, or it was gone before it answered. */
int connection_try(const char *run_directory, const struct conversation *conversation,
    const struct message *question);

/* True where a smailer of that configuration runs. */
bool connection_is_running(const struct options *options);

/* Becomes smailer-master in the background (--daemon); returns only where that fails. */
int connection_become_daemon(const struct options *options);

#endif
