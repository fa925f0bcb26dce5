/*
 * What is said in a session up to the login, which libcurl conducts: how far it is, what the server
 * can do, and its last words.
 */
#ifndef SMAILER_SMTP_DIALOGUE_H
#define SMAILER_SMTP_DIALOGUE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/outcome.h"
#include "smtp/capability.h"
#include "smtp/reply.h"

struct dialogue {
    enum stage stage; /* of what was said last: greeting, EHLO, TLS (STARTTLS) or login */
    struct capabilities capabilities; /* of the last EHLO */
    size_t lines; /* of the reply to it */
    struct reply_reader reader; /* its reply is the last one, when it is whole */
    bool broken; /* what came is no SMTP */
};

void dialogue_init(struct dialogue *dialogue);

/* A line that was sent, without its end. Returns what may be shown of it. */
const char *dialogue_said(struct dialogue *dialogue, const char *line, size_t *length);

/* A line that came, with its end. */
void dialogue_heard(struct dialogue *dialogue, const char *line, size_t length);

/* The last whole reply, or NULL where none came since the last command. */
const struct reply *dialogue_reply(const struct dialogue *dialogue);

#endif
