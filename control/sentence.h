/*
 * What became of a test mail, in a sentence that an administrator can act on.
 */
#ifndef SMAILER_SENTENCE_H
#define SMAILER_SENTENCE_H

#include <stddef.h>

#include "lib/message.h"

#define SENTENCE_SIZE 2001

/* Writes the sentence for TRIED, a mail from SENDER to ADDRESS, into TARGET. Returns the status of
 * sysexits.h: 0; EX_UNAVAILABLE; EX_TEMPFAIL where the relay itself says that later may be better.
 */
int sentence_make(char *target, size_t size, const struct message_tried *tried, const char *sender,
    const char *address);

#endif
