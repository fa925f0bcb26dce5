#include <sysexits.h>

#include <bsd/string.h>

#include "control/base.h"
#include "control/mqueue.h"
#include "lib/service.h"

/* Jobs in flight, and how many are granted in one message. */
#define WINDOW 256
#define BATCH 64

/* Messages that a slow client makes this process keep, before pickup gets no room any more. */
#define BACKLOG_MAX 256
#define BACKLOG_CHECK_MS 5

struct jobs {
    struct request request;
    char directory[4096];
    uint32_t letter;
    uint32_t queue; /* the one at work */
    uint32_t granted; /* pickup may still send so many */
};

/* smailer's own queue of notices is nobody's who does not name it. */
static bool
is_asked_for(const struct queue_settings *queue, const char *directory)
{
    if (queue->kind != SECTION_MQUEUE)
        return false;
    return directory[0] == '\0' ? strcmp(queue->section, CONFIGURATION_NOTICES) != 0
                                : strcmp(queue->path, directory) == 0;
}

uint32_t
mqueue_next(const char *directory, uint32_t previous)
{
    const struct queue_settings *queue;

    for (uint32_t i = previous == MQUEUE_NONE ? 0 : previous + 1; (queue = base_find(i)) != NULL;
         i++)
        if (is_asked_for(queue, directory))
            return i;
    return MQUEUE_NONE;
}

void
mqueue_answer_none(struct request *request, const char *directory)
{
    if (directory[0] != '\0')
        request_answer(request, EX_NOINPUT, "main.cf names no mqueue in %.1000s", directory);
    else
        request_answer(
            request, EX_CONFIG, "main.cf has no mqueue section whose directory is there");
}

static void
ask(struct jobs *jobs)
{
    service_send(jobs->request.client,
        &(struct message){MESSAGE_JOBS_OF, .jobs_of = {base_find(jobs->queue)->path}});
    jobs->granted = WINDOW;
    service_send(service_peer(ROLE_PICKUP, 0),
        &(struct message){
            MESSAGE_LIST_JOBS, .list_jobs = {jobs->request.number, jobs->queue, jobs->letter}});
    service_send(service_peer(ROLE_PICKUP, 0),
        &(struct message){MESSAGE_JOBS_ROOM, .jobs_room = {jobs->request.number, WINDOW}});
}

static void
begin(struct request *request, const struct message *message)
{
    struct jobs *jobs = (struct jobs *)request;

    strlcpy(jobs->directory, message->ask_jobs.directory, sizeof(jobs->directory));
    jobs->letter = message->ask_jobs.letter;
    jobs->queue = mqueue_next(jobs->directory, MQUEUE_NONE);
    if (jobs->queue == MQUEUE_NONE)
        mqueue_answer_none(request, jobs->directory);
    else if (service_peer(ROLE_PICKUP, 0) == NULL)
        request_answer(request, EX_TEMPFAIL, "smailer-pickup is not there now: try again");
    else
        ask(jobs);
}

static void
cancel(struct request *request)
{
    service_send(service_peer(ROLE_PICKUP, 0),
        &(struct message){MESSAGE_JOBS_CANCEL, .jobs_cancel = {request->number}});
}

/* More room for pickup, unless the client is slow. */
static void
grant(struct request *request)
{
    struct jobs *jobs = (struct jobs *)request;
    uint32_t count = WINDOW - jobs->granted;

    if (count < BATCH)
        return;
    if (channel_backlog(request->client) > BACKLOG_MAX) {
        service_timer_start(request->timer, BACKLOG_CHECK_MS);
        return;
    }
    jobs->granted += count;
    service_send(service_peer(ROLE_PICKUP, 0),
        &(struct message){MESSAGE_JOBS_ROOM, .jobs_room = {request->number, count}});
}

const struct request_kind JOBS_KIND = {
    .asked = MESSAGE_ASK_JOBS,
    .size = sizeof(struct jobs),
    .begin = begin,
    .cancel = cancel,
    .timed = grant,
};

void
jobs_found(struct channel *from, const struct message *message)
{
    struct request *request = request_find(message->queue_job.request, &JOBS_KIND);
    struct jobs *jobs = (struct jobs *)request;

    (void)from;
    if (request == NULL)
        return;
    request_tell(request, message);
    if (message->queue_job.more == 0 && jobs->granted > 0)
        jobs->granted--;
    grant(request);
}

void
jobs_ended(struct channel *from, const struct message *message)
{
    struct request *request = request_find(message->jobs_end.request, &JOBS_KIND);
    struct jobs *jobs = (struct jobs *)request;

    (void)from;
    if (request == NULL)
        return;
    if (message->jobs_end.problem[0] != '\0') {
        request_answer(request, EX_OSFILE, "%s", message->jobs_end.problem);
        return;
    }
    jobs->queue = mqueue_next(jobs->directory, jobs->queue);
    if (jobs->queue == MQUEUE_NONE)
        request_answer(request, EX_OK, "%s", "");
    else
        ask(jobs);
}
