/*
 * Whom a message handed to sendmail is for.
 */
#ifndef SMAILER_SUBMISSION_RECIPIENTS_H
#define SMAILER_SUBMISSION_RECIPIENTS_H

#include "cli/input_message.h"
#include "cli/sendmail_options.h"
#include "queue/control_file.h"

/* Fills in CONTROL's recipients: those of the command line, and with -t those of the headers, each
 * once. Returns EX_OK, or the status to end with, and why in ERROR. */
int submission_recipients_find(struct control_file *control, const struct sendmail_options *options,
    const struct input_message *message, const char *host, struct error *error);

void submission_recipients_free(struct control_file *control);

#endif
