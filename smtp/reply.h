/*
 * Replies of an SMTP server (RFC 5321, section 4.2; RFC 2034), put together from octets as they
 * come.
 */
#ifndef SMAILER_SMTP_REPLY_H
#define SMAILER_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/outcome.h"

/* Octets of one reply, after which it is none: a server that never ends must not be listened to
 * for ever. */
#define REPLY_SIZE_MAX 65536

/* Octets of a reply's words that are kept, with their NUL. */
#define REPLY_WORDS_SIZE 2048

struct reply {
    unsigned code; /* 200 to 599 */
    struct enhanced_code enhanced; /* class 0: none, or one that contradicts the code */
    /* All lines joined with blanks, the code and its enhanced code only once: "550 5.7.1 no". As
     * the server sent them, but for NUL, which is shown as "?". */
    char words[REPLY_WORDS_SIZE];
    size_t length; /* of the words */
};

enum reply_progress {
    REPLY_MORE, /* everything was taken, and the reply goes on */
    REPLY_COMPLETE, /* the reply is there; the next octet begins another */
    REPLY_BROKEN /* this is no SMTP server's reply: the connection is of no use any more */
};

struct reply_reader {
    struct reply reply;
    const char *problem; /* in words, after REPLY_BROKEN */
    size_t total; /* octets of the reply so far */
    bool complete; /* the next octet begins a new reply */
    char line[REPLY_WORDS_SIZE]; /* the beginning of a line whose end has not come yet */
    size_t line_length; /* of the whole line; what exceeds the array is lost */
};

/* Ready for a session's first reply. */
void reply_reader_init(struct reply_reader *reader);

/* Takes octets from OCTETS, *USED of them, up to the end of one reply. After REPLY_BROKEN the
 * reader must not be used any more. */
enum reply_progress reply_read(
    struct reply_reader *reader, const char *octets, size_t length, size_t *used);

#endif
