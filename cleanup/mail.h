/*
 * What an item of a queue file says, checked: from whom, to whom, what about.
 */
#ifndef SMAILER_CLEANUP_MAIL_H
#define SMAILER_CLEANUP_MAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "lib/error.h"

#include "cleanup/address.h"
#include "cleanup/document.h"

enum { MAIL_SUBJECT_MAX = 8192 };

struct mail {
    struct address sender;
    struct address recipient;
    time_t written;
    bool time_known; /* fld_time says when it was written; else it is a guess */
    /* As they are in the document, which owns them; empty where the item has none. */
    struct item_text sender_text;
    struct item_text recipient_text;
    struct item_text subject;
    struct item_text content;
};

/* Reads ITEM of DOCUMENT. A field may occur once at the most; sender and address must be there;
 * FALLBACK stands in for a time that is missing or impossible. False and ERROR, which names the
 * field, where it can never be sent: then sender or recipient may be "", the rest is filled. */
bool mail_read(struct mail *mail, const struct document *document, size_t item, time_t fallback,
    struct error *error);

#endif
