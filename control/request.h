/*
 * What a client asked for, from its question to its ANSWER. A client has one request at a time.
 */
#ifndef SMAILER_REQUEST_H
#define SMAILER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>

#include "lib/channel.h"
#include "lib/message.h"

struct request;

struct request_kind {
    enum message_type asked;
    size_t size; /* of its struct, which begins with a struct request */
    /* Answers at once, or has others at work for it. */
    void (*begin)(struct request *request, const struct message *message);
    /* Nobody waits for it any more: those who are at work may stop. May be NULL. */
    void (*cancel)(struct request *request);
    /* The request's timer, which it starts itself. May be NULL. */
    void (*timed)(struct request *request);
};

struct request {
    LIST_ENTRY(request) next;
    const struct request_kind *kind;
    uint32_t number;
    struct channel *client; /* NULL: smailer itself asked (--once) */
    struct event *timer;
};

/* To be called first. */
void request_start(void);

/* Begins what MESSAGE asks for. */
void request_begin(
    const struct request_kind *kind, struct channel *client, const struct message *message);

/* The request under way of that number and kind; NULL where there is none (any more). */
struct request *request_find(uint32_t number, const struct request_kind *kind);

/* What CLIENT asked for; NULL where it awaits nothing. */
struct request *request_of(const struct channel *client);

/* Calls for every request of KIND (all, where it is NULL), which may be answered meanwhile. */
void request_each(
    const struct request_kind *kind, void (*call)(struct request *, void *), void *context);

/* Sends MESSAGE to who asked. */
void request_tell(const struct request *request, const struct message *message);

/* The end: STATUS is sysexits.h's, the sentence may be "". REQUEST is freed. */
void request_answer(struct request *request, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The end where nobody waits for an answer. REQUEST is freed. */
void request_cancel(struct request *request);

/* The end of all requests, whatever others still do for them. */
void request_answer_all(int status, const char *words);

/* The status that the last request was answered with; 0 before. */
int request_last_status(void);

/* Milliseconds of a clock that never jumps. */
int64_t request_clock(void);

#endif
