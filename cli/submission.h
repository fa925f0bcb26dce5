/*
 * A message of standard input as a job for sendmail's queue: its control file, with the headers
 * that were missing, and its body.
 */
#ifndef SMAILER_SUBMISSION_H
#define SMAILER_SUBMISSION_H

#include <stdint.h>
#include <time.h>

#include "cli/input_message.h"
#include "cli/sendmail_options.h"

/* Who hands it in, where and when. */
struct submission_origin {
    const char *user; /* a login name */
    const char *full_name; /* of that user, "" where unknown */
    const char *host;
    time_t now;
    uint64_t token; /* random: makes the Message-Id the only one */
};

/* A new memfd of the caller's: the control file in format 8 up to its line ".", and then the body.
 * Returns EX_OK, or the status to end with, and why, in sendmail's words, in ERROR. */
int submission_make(const struct sendmail_options *options, const struct input_message *message,
    const struct submission_origin *origin, int *content, struct error *error);

#endif
