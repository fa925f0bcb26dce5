/*
 * What tells the sender of a mail that it was not, or not yet, delivered: a delivery status
 * notification (RFC 3464), as a job of sendmail's queue.
 */
#ifndef SMAILER_CLEANUP_NOTICE_H
#define SMAILER_CLEANUP_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/message.h"

/* Composes what NOTICE asks for: *CONTENT is a new sealed memfd of the caller's, its first *HEADER
 * octets lines of a control file (H), the rest the data file. */
bool notice_compose(
    const struct message_notice *notice, int *content, uint64_t *header, struct error *error);

#endif
