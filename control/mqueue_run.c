#include <stdlib.h>
#include <sysexits.h>

#include <bsd/string.h>

#include "control/base.h"
#include "control/mqueue.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "lib/text.h"

/* How long a connection may take to say goodbye. */
#define FAREWELL_MS 2000

struct mqueue_run {
    struct request request;
    char directory[4096];
    uint32_t queue; /* the one at work; one after the other */
    bool selected;
    char *names;
    size_t names_size;
    bool verbose;
    uint32_t open; /* connections that are shown, and not at their end */
    bool over;
    int status; /* the largest of its mails */
    char problem[256];
};

/* Begins the run over the queue whose turn it is. */
static void
ask(struct mqueue_run *run)
{
    const struct queue_settings *queue = base_find(run->queue);
    char sid[512];

    if (run->verbose)
        service_send(service_peer(ROLE_QMGR, 0),
            &(struct message){MESSAGE_SHOW_RUN, .show_run = {run->request.number}});
    if (run->selected)
        service_send(service_peer(ROLE_PICKUP, 0),
            &(struct message){MESSAGE_RUN_ONLY,
                .run_only = {run->request.number, {run->names, run->names_size}}});
    text_format(sid, sizeof(sid), "%s/%s", queue->section, queue->sid);
    sid[255] = '\0';
    service_send(service_peer(ROLE_PICKUP, 0),
        &(struct message){MESSAGE_RUN,
            .run = {.run = run->request.number, .force = 1, .sid = sid, .sender = ""}});
}

static void
begin(struct request *request, const struct message *message)
{
    struct mqueue_run *run = (struct mqueue_run *)request;
    const struct message_ask_run *asked = &message->ask_run;

    strlcpy(run->directory, asked->directory, sizeof(run->directory));
    run->queue = mqueue_next(run->directory, MQUEUE_NONE);
    if (run->queue == MQUEUE_NONE) {
        mqueue_answer_none(request, run->directory);
        return;
    }
    if (service_peer(ROLE_PICKUP, 0) == NULL) {
        request_answer(request, EX_TEMPFAIL, "smailer-pickup is not there now: try again");
        return;
    }
    run->selected = asked->selected != 0;
    run->verbose = asked->verbose != 0;
    run->names = memory_new(asked->names.size + 1, 1);
    run->names_size = asked->names.size;
    if (asked->names.size > 0)
        memcpy(run->names, asked->names.data, asked->names.size);
    ask(run);
}

static void
cancel(struct request *request)
{
    struct mqueue_run *run = (struct mqueue_run *)request;

    service_send(service_peer(ROLE_PICKUP, 0),
        &(struct message){MESSAGE_RUN_CANCEL, .run_cancel = {.run = request->number}});
    free(run->names);
    run->names = NULL;
}

/* What is only deferred is no failure of the run. */
static void
end(struct mqueue_run *run)
{
    free(run->names);
    run->names = NULL;
    request_answer(
        &run->request, run->problem[0] != '\0' ? EX_OSFILE : run->status, "%s", run->problem);
}

/* A farewell that never comes is not waited for. */
static void
on_time(struct request *request)
{
    struct mqueue_run *run = (struct mqueue_run *)request;

    if (run->over)
        end(run);
}

const struct request_kind MQUEUE_RUN_KIND = {
    .asked = MESSAGE_ASK_RUN,
    .size = sizeof(struct mqueue_run),
    .begin = begin,
    .cancel = cancel,
    .timed = on_time,
};

/* Whoever watches sees the connections' ends, too. */
static void
end_when_quiet(struct mqueue_run *run)
{
    run->over = true;
    if (run->open == 0)
        end(run);
    else
        service_timer_start(run->request.timer, FAREWELL_MS);
}

bool
mqueue_run_spoken(const struct message *message)
{
    static const char BEGIN[] = "... Connecting to ";
    const struct message_dialogue *said = &message->dialogue;
    struct mqueue_run *run = said->job <= UINT32_MAX ? (struct mqueue_run *)request_find(
                                                           (uint32_t)said->job, &MQUEUE_RUN_KIND)
                                                     : NULL;

    if (run == NULL)
        return false;
    if (said->line[0] != '\0')
        request_tell(&run->request, message);
    if (strstr(said->line, BEGIN) != NULL && said->line[1] != ':')
        run->open++;
    else if (said->line[0] == '\0' && run->open > 0 && --run->open == 0 && run->over)
        end(run);
    return true;
}

bool
mqueue_run_progressed(const struct message *message)
{
    const struct message_run_progress *progress = &message->run_progress;
    struct mqueue_run *run = (struct mqueue_run *)request_find(progress->run, &MQUEUE_RUN_KIND);

    if (run == NULL)
        return false;
    if (progress->over == 0)
        return true;
    if ((int)(progress->status & 0xFF) > run->status)
        run->status = (int)(progress->status & 0xFF);
    if (progress->problem[0] != '\0')
        strlcpy(run->problem, progress->problem, sizeof(run->problem));
    run->queue = mqueue_next(run->directory, run->queue);
    if (run->queue == MQUEUE_NONE)
        end_when_quiet(run);
    else
        ask(run);
    return true;
}
