#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/request.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "lib/text.h"

/* Octets of an ANSWER's words. */
#define WORDS_SIZE 2001

static struct {
    LIST_HEAD(, request) all;
    uint32_t last_number;
    int last_status;
} requests;

void
request_start(void)
{
    LIST_INIT(&requests.all);
    /* Others may still be busy with what a control that died had asked them. */
    requests.last_number = (uint32_t)request_clock();
}

static void
on_timer(evutil_socket_t descriptor, short what, void *context)
{
    struct request *request = context;

    (void)descriptor;
    (void)what;
    request->kind->timed(request);
}

void
request_begin(
    const struct request_kind *kind, struct channel *client, const struct message *message)
{
    struct request *request = memory_new(1, kind->size);

    request->kind = kind;
    request->client = client;
    request->number = ++requests.last_number;
    if (kind->timed != NULL)
        request->timer = service_timer(on_timer, request);
    LIST_INSERT_HEAD(&requests.all, request, next);
    kind->begin(request, message);
}

struct request *
request_find(uint32_t number, const struct request_kind *kind)
{
    struct request *request;

    LIST_FOREACH(request, &requests.all, next)
    {
        if (request->number == number && request->kind == kind)
            return request;
    }
    return NULL;
}

struct request *
request_of(const struct channel *client)
{
    struct request *request;

    LIST_FOREACH(request, &requests.all, next)
    {
        if (request->client == client)
            return request;
    }
    return NULL;
}

void
request_each(const struct request_kind *kind, void (*call)(struct request *, void *), void *context)
{
    struct request *next;

    for (struct request *request = LIST_FIRST(&requests.all); request != NULL; request = next) {
        next = LIST_NEXT(request, next);
        if (kind == NULL || request->kind == kind)
            call(request, context);
    }
}

void
request_tell(const struct request *request, const struct message *message)
{
    service_send(request->client, message);
}

static void
remove_request(struct request *request)
{
    LIST_REMOVE(request, next);
    if (request->timer != NULL)
        event_free(request->timer);
    free(request);
}

/* The run that --once is: its end is the tree's. */
static void
end_once(int status, const char *words)
{
    if (words[0] != '\0')
        log_info("%s", words);
    service_send(service_master(),
        &(struct message){MESSAGE_RUN_OVER, .run_over = {.status = (uint32_t)status}});
}

void
request_answer(struct request *request, int status, const char *format, ...)
{
    char words[WORDS_SIZE];
    struct message answer = {
        MESSAGE_ANSWER, .answer = {.status = (uint32_t)status, .words = words}};
    va_list arguments;

    va_start(arguments, format);
    text_format_list(words, sizeof(words), format, arguments);
    va_end(arguments);
    requests.last_status = status;
    if (request->client == NULL)
        end_once(status, words);
    request_tell(request, &answer);
    remove_request(request);
    service_worked();
}

void
request_cancel(struct request *request)
{
    if (request->kind->cancel != NULL)
        request->kind->cancel(request);
    remove_request(request);
}

struct ending {
    int status;
    const char *words;
};

static void
end_request(struct request *request, void *context)
{
    const struct ending *ending = context;

    if (request->kind->cancel != NULL)
        request->kind->cancel(request);
    request_answer(request, ending->status, "%s", ending->words);
}

void
request_answer_all(int status, const char *words)
{
    struct ending ending = {status, words};

    request_each(NULL, end_request, &ending);
}

int
request_last_status(void)
{
    return requests.last_status;
}

int64_t
request_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
