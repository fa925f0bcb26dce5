/*
 * One question to smailer-control, and all that it says until its ANSWER.
 */
#ifndef SMAILER_CONVERSATION_H
#define SMAILER_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/message.h"

struct conversation_handler {
    enum message_type type;
    /* False ends the conversation: what is said cannot be written anywhere. */
    bool (*handle)(void *context, const struct message *message);
};

struct conversation {
    const struct conversation_handler *handlers;
    size_t handler_count;
    /* The end: STATUS and WORDS are control's. Returns the exit status. NULL:
     * conversation_answered. */
    int (*answered)(void *context, int status, const char *words);
    void *answer_context; /* of answered; NULL: the handlers' */
    void *context;
    bool is_all; /* the process does nothing but this: it is confined meanwhile */
    unsigned timeout; /* seconds of silence after which it is given up; 0: never */
};

/* Asks QUESTION over DESCRIPTOR, which is owned from now on. Returns the exit status; -1 where the
 * other side was gone before it answered, which is not said yet. */
int conversation_hold(
    const struct conversation *conversation, int descriptor, const struct message *question);

/* WORDS, if any, go to standard error. Returns STATUS. */
int conversation_answered(void *context, int status, const char *words);

#endif
