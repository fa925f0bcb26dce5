#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <bsd/string.h>

#include "control/base.h"
#include "control/finder.h"
#include "control/kinds.h"
#include "control/mqueue.h"
#include "lib/memory.h"
#include "lib/service.h"

/* How often a client hears of a run's progress at the most. */
#define PROGRESS_MS 100

struct run {
    struct request request;
    struct message_run_progress *progress; /* the last one of each finder */
    struct message_run_progress sum;
    char problem[256];
    bool is_told; /* one was told of not long ago */
    bool is_new; /* and this is another */
};

static void
begin_run(struct request *request, const struct message *message)
{
    const struct message_ask_send *asked = &message->ask_send;
    struct message run = {MESSAGE_RUN, .run = {.run = request->number,
                                           .force = asked->force,
                                           .sid = asked->sid,
                                           .sender = asked->sender}};
    struct error error;

    if (!base_check(asked->sid, &error)) {
        request_answer(request, EX_USAGE, "%s", error.text);
        return;
    }
    if (!finder_all_are_there()) {
        request_answer(request, EX_TEMPFAIL, "not all programs are there now: try again");
        return;
    }
    ((struct run *)request)->progress =
        memory_new(finder_count(), sizeof(struct message_run_progress));
    finder_send_all(&run);
}

static void
cancel_run(struct request *request)
{
    finder_send_all(&(struct message){MESSAGE_RUN_CANCEL, .run_cancel = {.run = request->number}});
    free(((struct run *)request)->progress);
}

static void
tell_progress(struct run *run)
{
    struct message message = {MESSAGE_RUN_PROGRESS, .run_progress = run->sum};

    message.run_progress.problem = run->problem;
    request_tell(&run->request, &message);
    run->is_told = true;
    run->is_new = false;
}

static void
on_time(struct request *request)
{
    struct run *run = (struct run *)request;

    run->is_told = false;
    if (!run->is_new)
        return;
    tell_progress(run);
    service_timer_start(request->timer, PROGRESS_MS);
}

const struct request_kind RUN_KIND = {
    .asked = MESSAGE_ASK_SEND,
    .size = sizeof(struct run),
    .begin = begin_run,
    .cancel = cancel_run,
    .timed = on_time,
};

void
run_once(void)
{
    struct message message = {MESSAGE_ASK_SEND, .ask_send = {.sid = "", .sender = ""}};

    request_begin(&RUN_KIND, NULL, &message);
}

static void
end_run(struct run *run)
{
    const struct message_run_progress *progress = &run->sum;
    bool failed = progress->deferred > 0 || progress->dropped > 0 || run->problem[0] != '\0';
    int status = failed ? EX_UNAVAILABLE : EX_OK;

    tell_progress(run);
    free(run->progress);
    /* --once has worked the queues off, whatever the relays said of the mails. */
    if (run->request.client == NULL)
        status = run->problem[0] != '\0' ? EX_TEMPFAIL : EX_OK;
    request_answer(&run->request, status, "%s", run->problem);
}

/* What all finders say together. */
static void
add_up(struct run *run)
{
    struct message_run_progress *sum = &run->sum;

    *sum = (struct message_run_progress){.run = run->request.number, .over = 1};
    for (uint32_t i = 0; i < finder_count(); i++) {
        const struct message_run_progress *progress = &run->progress[i];

        sum->over &= progress->over;
        sum->total += progress->total;
        sum->sent += progress->sent;
        sum->deferred += progress->deferred;
        sum->dropped += progress->dropped;
        sum->skipped += progress->skipped;
    }
}

void
run_progressed(struct channel *from, const struct message *message)
{
    struct run *run = (struct run *)request_find(message->run_progress.run, &RUN_KIND);

    if (mqueue_run_progressed(message))
        return;
    if (run == NULL || finder_of(from) >= finder_count())
        return;
    run->progress[finder_of(from)] = message->run_progress;
    if (run->problem[0] == '\0')
        strlcpy(run->problem, message->run_progress.problem, sizeof(run->problem));
    add_up(run);
    run->is_new = true;
    if (run->sum.over != 0) {
        end_run(run);
    } else if (!run->is_told) {
        tell_progress(run);
        service_timer_start(run->request.timer, PROGRESS_MS);
    }
}
