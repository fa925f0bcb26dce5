/*
 * What sendmail does, by its mode. Each returns the exit status.
 */
#ifndef SMAILER_SENDMAIL_COMMAND_H
#define SMAILER_SENDMAIL_COMMAND_H

#include "cli/conversation.h"
#include "cli/sendmail_options.h"

/* -bp: lists the jobs. */
int sendmail_print(const struct sendmail_options *options);

/* -q: tries them, in the background unless -v or -qf. */
int sendmail_run(const struct sendmail_options *options);

/* -bd, -qTIME: starts smailer-master. */
int sendmail_daemon(const struct sendmail_options *options);

/* Takes a message from standard input. */
int sendmail_submit(const struct sendmail_options *options);

/* The same of one message of several; why it is not taken is said on standard error. */
int sendmail_take(const struct sendmail_options *options);

/* -bs: takes messages by SMTP on standard input. */
int sendmail_smtp(const struct sendmail_options *options);

/* Asks QUESTION of the running smailer, or of programs of its own where none runs, or where the
 * running one does not know the directory of -oQ. Returns the answer's status, and says why where
 * it is none of success. */
int sendmail_ask(const struct sendmail_options *options, const struct conversation *conversation,
    const struct message *question);

/* The queue directory of -oQ, as it is named in messages: absolute; "" where none is given.
 * NULL where it cannot be entered, which was said as sendmail does. */
const char *sendmail_directory(const struct sendmail_options *options);

/* Goes on in a process of its own, in the background; true there, false in the caller, where
 * *STATUS is the one to end with. */
bool sendmail_detach(int *status);

#endif
