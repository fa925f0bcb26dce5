#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <bsd/string.h>

#include "control/base.h"
#include "control/mqueue.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "lib/text.h"

/* How long the connections of a run that is shown may take to say goodbye. */
#define FAREWELL_MS 2000

#define NAME_SIZE 256

struct mqueue_run {
    struct request request;
    char directory[4096];
    uint32_t queue; /* the one at work; one after the other */
    bool selected;
    char *names;
    size_t names_size;
    bool verbose; /* one after the other, shown */
    size_t at; /* where in them the one is that comes next */
    char name[NAME_SIZE]; /* the one at work */
    char notice[NAME_SIZE]; /* that came of it; "": none */
    bool over; /* only the farewells are awaited */
    int status; /* the largest of its mails */
    char problem[256];
};

/* Begins the run over the queue whose turn it is. */
static void
ask(struct mqueue_run *run)
{
    const struct queue_settings *queue = base_find(run->queue);
    struct bytes names = {run->names, run->names_size};
    char sid[256];

    if (run->selected && run->verbose)
        names = (struct bytes){run->name, strlen(run->name) + 1};
    if (run->selected)
        service_send(service_peer(ROLE_PICKUP, 0),
            &(struct message){MESSAGE_RUN_ONLY, .run_only = {run->request.number, names}});
    text_format(sid, sizeof(sid), "%s/%s", queue->section, queue->sid);
    service_send(service_peer(ROLE_PICKUP, 0),
        &(struct message){MESSAGE_RUN,
            .run = {.run = run->request.number, .force = 1, .sid = sid, .sender = ""}});
}

static void
show(const struct mqueue_run *run, enum show_step step)
{
    service_send(service_peer(ROLE_QMGR, 0),
        &(struct message){MESSAGE_SHOW_RUN, .show_run = {run->request.number, step}});
}

/* The next of a run that is shown: first what came of the last one; an empty line to who watches is
 * the beginning of each that was asked for. False where that was all. */
static bool
begin_next(struct mqueue_run *run)
{
    if (run->notice[0] != '\0') {
        strlcpy(run->name, run->notice, sizeof(run->name));
        run->notice[0] = '\0';
    } else if (run->at < run->names_size) {
        strlcpy(run->name, run->names + run->at, sizeof(run->name));
        run->at += strlen(run->names + run->at) + 1;
        request_tell(&run->request, &(struct message){MESSAGE_DIALOGUE, .dialogue = {.line = ""}});
    } else {
        return false;
    }
    run->queue = mqueue_next(run->directory, MQUEUE_NONE);
    ask(run);
    return true;
}

/* Whoever watches sees the connections' ends, too. A farewell that never comes is not waited for.
 */
static void
take_leave(struct mqueue_run *run)
{
    run->over = true;
    show(run, SHOW_END);
    service_timer_start(run->request.timer, FAREWELL_MS);
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
    if (run->verbose)
        show(run, SHOW_BEGIN);
    if (!run->verbose || !run->selected)
        ask(run);
    else if (!begin_next(run))
        take_leave(run);
}

static void
cancel(struct request *request)
{
    struct mqueue_run *run = (struct mqueue_run *)request;

    service_send(service_peer(ROLE_PICKUP, 0),
        &(struct message){MESSAGE_RUN_CANCEL, .run_cancel = {.run = request->number}});
    if (run->verbose)
        show(run, SHOW_END);
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

/* qmgr has told everything so far. */
static void
pass_fence(struct mqueue_run *run)
{
    if (run->over)
        end(run);
    else if (!begin_next(run))
        take_leave(run);
}

bool
mqueue_run_spoken(const struct message *message)
{
    static const char NOTICE[] = "N: ";
    const struct message_dialogue *said = &message->dialogue;
    struct mqueue_run *run = said->job <= UINT32_MAX ? (struct mqueue_run *)request_find(
                                                           (uint32_t)said->job, &MQUEUE_RUN_KIND)
                                                     : NULL;

    if (run == NULL)
        return false;
    if (said->line[0] == '\0')
        pass_fence(run);
    else if (strncmp(said->line, NOTICE, strlen(NOTICE)) == 0)
        strlcpy(run->notice, said->line + strlen(NOTICE), sizeof(run->notice));
    else
        request_tell(&run->request, message);
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
    if (run->queue != MQUEUE_NONE)
        ask(run);
    else if (run->verbose)
        show(run, SHOW_FENCE);
    else
        end(run);
    return true;
}
