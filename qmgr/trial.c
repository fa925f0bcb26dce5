#include <string.h>

#include "lib/job_number.h"
#include "lib/log.h"
#include "lib/service.h"
#include "qmgr/account.h"
#include "qmgr/intake.h"
#include "qmgr/schedule.h"
#include "qmgr/trial.h"

static void
tell(const struct job *job, enum outcome outcome, const struct attempt *attempt)
{
    service_send(service_peer(ROLE_CONTROL, 0), &(struct message){.type = MESSAGE_TRIED,
                                                    .tried = {.job = job->number,
                                                        .outcome = outcome,
                                                        .stage = attempt->stage,
                                                        .code = attempt->code,
                                                        .enhanced = attempt->enhanced,
                                                        .relay = attempt->relay,
                                                        .words = attempt->words}});
}

void
trial_end(struct job *job, const struct attempt *attempt)
{
    struct enhanced_code enhanced = {0};
    struct decision decision;

    enhanced_parse(attempt->enhanced, strlen(attempt->enhanced), &enhanced);
    decision = outcome_decide(attempt->stage, attempt->code, enhanced);
    tell(job, decision.outcome, attempt);
    job_free(job);
}

/* It never came to a connection. */
static void
refuse(struct job *job, enum outcome outcome, const char *words)
{
    const struct attempt attempt = {
        .stage = STAGE_UNTRIED, .enhanced = "", .words = words, .relay = ""};

    tell(job, outcome, &attempt);
    job_free(job);
}

static void
begin(struct job *job)
{
    char reason[512];
    struct account *account;
    struct worker *worker;

    if (job->verdict != VERDICT_MAIL) {
        refuse(job, OUTCOME_DROPPED, job->reason);
        return;
    }
    account = account_choose(job->sender, NULL, reason, sizeof(reason));
    if (account == NULL) {
        refuse(job, OUTCOME_DEFERRED, reason);
        return;
    }
    worker = worker_start(account, WORKER_TRIAL);
    if (worker == NULL) {
        refuse(job, OUTCOME_DEFERRED, "smailer-smtp is not there at the moment");
        return;
    }
    job->worker = worker;
    worker->trial = job;
    worker->trial_number = job->number;
}

void
trial_handle(struct channel *from, const struct message *message)
{
    struct job *job;

    (void)from;
    if ((message->try.job & JOB_TRIAL) == 0 || job_find(message->try.job) != NULL) {
        log_error("control asks to try job %lu, which is not its own", message->try.job);
        return;
    }
    job = intake_take_trial(message->try.job);
    if (job == NULL)
        job = job_new(message->try.job);
    job_enter(job);
    if (job->judged)
        begin(job);
}

void
trial_handle_cancel(struct channel *from, const struct message *message)
{
    struct job *job = job_find(message->try_cancel.job);

    (void)from;
    if (job != NULL && job->base == NULL && !job->judged)
        job_free(job);
}

void
trial_judged(struct job *job)
{
    begin(job);
}

void
trial_link_up(struct worker *worker)
{
    struct job *job = worker->trial;
    struct quota_moment begun;

    worker->trial = NULL;
    if (job != NULL && share_begin(worker->account, true, &begun))
        worker_deliver(worker, job, begun);
    worker_stop(worker);
}

void
trial_link_failed(struct worker *worker, const struct attempt *attempt)
{
    struct job *job = worker->trial;

    worker->trial = NULL;
    if (job != NULL)
        trial_end(job, attempt);
}
