#include <string.h>
#include <sysexits.h>

#include <bsd/string.h>

#include "control/base.h"
#include "control/kinds.h"
#include "lib/service.h"

/* How often a client hears of a run's progress at the most. */
#define PROGRESS_MS 100

struct run {
    struct request request;
    struct message_run_progress progress; /* the last one */
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
    if (service_peer(ROLE_PICKUP, 0) == NULL) {
        request_answer(request, EX_TEMPFAIL, "smailer-pickup is not there now: try again");
        return;
    }
    service_send(service_peer(ROLE_PICKUP, 0), &run);
}

static void
cancel_run(struct request *request)
{
    service_send(service_peer(ROLE_PICKUP, 0),
        &(struct message){MESSAGE_RUN_CANCEL, .run_cancel = {.run = request->number}});
}

static void
tell_progress(struct run *run)
{
    struct message message = {MESSAGE_RUN_PROGRESS, .run_progress = run->progress};

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
    const struct message_run_progress *progress = &run->progress;
    bool failed = progress->deferred > 0 || progress->dropped > 0 || run->problem[0] != '\0';

    tell_progress(run);
    request_answer(&run->request, failed ? EX_UNAVAILABLE : EX_OK, "%s", run->problem);
}

void
run_progressed(struct channel *from, const struct message *message)
{
    struct run *run = (struct run *)request_find(message->run_progress.run, &RUN_KIND);

    (void)from;
    if (run == NULL)
        return;
    run->progress = message->run_progress;
    strlcpy(run->problem, message->run_progress.problem, sizeof(run->problem));
    run->is_new = true;
    if (message->run_progress.over != 0) {
        end_run(run);
    } else if (!run->is_told) {
        tell_progress(run);
        service_timer_start(run->request.timer, PROGRESS_MS);
    }
}
