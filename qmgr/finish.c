#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include <bsd/string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "qmgr/account.h"
#include "qmgr/committer.h"
#include "qmgr/finish.h"
#include "qmgr/held.h"
#include "qmgr/mail_log.h"
#include "qmgr/mqueue.h"
#include "qmgr/notify.h"
#include "qmgr/opening.h"
#include "qmgr/recorder.h"
#include "qmgr/schedule.h"
#include "qmgr/show.h"
#include "qmgr/submission.h"

#define SWEEP_LEAST_MS 1000
#define SWEEP_MOST_MS 3600000

static struct {
    struct committer *committer;
    struct event *done;
    struct event *turn_end; /* active while commits are to begin at the end of this turn */
    bool closing;
} finish;

/* Tells pickup, gives the mail's place back, and forgets it. */
static void
end_job(struct job *job, enum job_end end, uint32_t strikes, int64_t next_try)
{
    finish_release(job);
    worker_note_recorded(job);
    held_note_end(job);
    service_send(base_finder(job->base), &(struct message){.type = MESSAGE_FINISHED,
                                             .finished = {.job = job->number,
                                                 .end = end,
                                                 .strikes = strikes,
                                                 .next_try = next_try,
                                                 .status = (uint32_t)job->status}});
    base_note_end(job);
    job_free(job);
    service_worked();
    schedule_soon();
}

void
finish_untouched(struct job *job, enum job_end end, int64_t next_try)
{
    end_job(job, end, job->strikes, next_try);
}

struct commit *
finish_prepare(struct job *job, enum commit_kind kind, const char *reason)
{
    struct commit *commit = memory_new(1, sizeof(*commit));

    commit->kind = kind;
    commit->queue = job->base->queue;
    commit->identity = job->identity;
    commit->descriptor = -1;
    strlcpy(commit->id, job->id, sizeof(commit->id));
    strlcpy(commit->reason, reason, sizeof(commit->reason));
    commit->context = job;
    if (!base_is_mqueue(job->base))
        return commit;
    commit->job = memory_new(1, sizeof(*commit->job));
    commit->job->notice = -1;
    commit->job->taken = job->taken;
    commit->job->outcomes = job->outcomes;
    commit->job->outcome_count = job->outcome_count;
    commit->job->account = job->lane != NULL ? job->lane->account->settings->address : NULL;
    return commit;
}

void
finish_commit(struct job *job, struct commit *commit)
{
    job->commit = commit;
    base_enter_phase(job, PHASE_COMMITTING);
    job->base->recorder->submit(commit);
}

/* ATTEMPT: what a relay said, or NULL where none was asked. */
static void
submit(struct job *job, enum commit_kind kind, const char *reason, const struct attempt *attempt)
{
    struct commit *commit = finish_prepare(job, kind, reason);

    if (attempt != NULL) {
        strlcpy(commit->stage, stage_name(attempt->stage), sizeof(commit->stage));
        commit->code = attempt->code;
    }
    if (kind == COMMIT_SPLIT) {
        commit->descriptor = job->content;
        job->content = -1;
    }
    if (!notify_begin(job, commit, attempt))
        finish_commit(job, commit);
}

void
finish_alone(struct commit *commit)
{
    commit->context = NULL;
    finish_submit(commit);
}

void
finish_release(struct job *job)
{
    struct commit *commit;

    if (job->taken == NULL)
        return;
    commit = finish_prepare(job, COMMIT_RELEASE, "");
    job->taken = NULL;
    finish_alone(commit);
}

void
finish_submit(struct commit *commit)
{
    committer_submit(finish.committer, commit);
    event_active(finish.turn_end, EV_WRITE, 0);
}

static void
on_turn_end(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    if (finish.committer != NULL)
        committer_begin(finish.committer);
}

void
finish_dropped(struct job *job, const char *reason)
{
    mail_log_untried(job, "", "5.6.0", "dropped", reason);
    job->status = EX_UNAVAILABLE;
    submit(job, COMMIT_DROP, reason, NULL);
}

void
finish_deferred(struct job *job, const char *reason)
{
    mail_log_untried(job, "", "4.3.5", "deferred", reason);
    submit(job, COMMIT_DEFER, reason, NULL);
}

void
finish_struck(struct job *job, const char *reason)
{
    log_warn("%s: %s: it is tried again, alone", job->id, reason);
    submit(job, COMMIT_STRIKE, reason, NULL);
}

void
finish_split(struct job *job)
{
    submit(job, COMMIT_SPLIT, "", NULL);
}

/* While testing, no outcome moves a mail but what the administrator asked for. */
static void
finish_testing(struct job *job, enum outcome outcome)
{
    static const enum job_end ENDS[] = {[OUTCOME_SENT] = JOB_SENT,
        [OUTCOME_DEFERRED] = JOB_DEFERRED,
        [OUTCOME_DROPPED] = JOB_DROPPED};

    if (outcome == OUTCOME_SENT && service_configuration()->settings.testing_purge)
        submit(job, base_is_mqueue(job->base) ? COMMIT_HOLD : COMMIT_DROP, "sent in testing", NULL);
    else
        end_job(job, ENDS[outcome], job->strikes, INT64_MAX);
}

static bool
is_testing(void)
{
    return service_configuration()->settings.testing[0] != '\0';
}

void
finish_attempt(struct job *job, const struct attempt *attempt)
{
    static const enum commit_kind KINDS[] = {[OUTCOME_SENT] = COMMIT_SENT,
        [OUTCOME_DEFERRED] = COMMIT_DEFER,
        [OUTCOME_DROPPED] = COMMIT_DROP};
    struct enhanced_code enhanced = {0};
    struct decision decision;
    char code[ENHANCED_TEXT_SIZE];

    enhanced_parse(attempt->enhanced, strlen(attempt->enhanced), &enhanced);
    decision = outcome_decide(attempt->stage, attempt->code, enhanced);
    if (!attempt->logged)
        mail_log_untried(job, attempt->relay, enhanced_print(decision.enhanced, code),
            outcome_name(decision.outcome), attempt->words);
    if (job->lane != NULL)
        account_count(job->lane->account, decision.outcome);
    if (is_testing())
        finish_testing(job, decision.outcome);
    else
        submit(job, KINDS[decision.outcome], attempt->words, attempt);
}

void
finish_outcomes(struct job *job, enum outcome outcome, const char *words)
{
    static const enum commit_kind KINDS[] = {[OUTCOME_SENT] = COMMIT_SENT,
        [OUTCOME_DEFERRED] = COMMIT_DEFER,
        [OUTCOME_DROPPED] = COMMIT_DROP};

    if (job->lane != NULL)
        account_count(job->lane->account, outcome);
    if (is_testing())
        finish_testing(job, outcome);
    else
        submit(job, KINDS[outcome], words, NULL);
}

/* What a commit that was done means for its mail. */
static enum job_end
end_of(const struct commit *commit)
{
    static const enum job_end ENDS[] = {[MAIL_WAITING] = JOB_STRUCK,
        [MAIL_DEFERRED] = JOB_DEFERRED,
        [MAIL_SENT] = JOB_SENT,
        [MAIL_DROPPED] = JOB_DROPPED,
        [MAIL_HELD] = JOB_AGAIN};

    if (commit->kind == COMMIT_SPLIT)
        return JOB_SPLIT;
    if (commit->kind == COMMIT_STRIKE && commit->strikes < QUEUE_STRIKES_TO_DEFER)
        return JOB_STRUCK;
    if (is_testing() && (commit->kind == COMMIT_DROP || commit->kind == COMMIT_HOLD) &&
        strcmp(commit->reason, "sent in testing") == 0)
        return JOB_SENT;
    return ENDS[commit->outcome];
}

static void
end_done(struct job *job, const struct commit *commit)
{
    if (commit->kind == COMMIT_SPLIT)
        log_info("%s: %s: split into %u mails", job->id, job->identity.name, commit->documents);
    else
        mail_log_place(job, commit);
    if (commit->job != NULL) {
        mqueue_log_notice(commit);
        show_notice(job, commit->job->notice_id);
        job->taken = commit->job->taken;
    }
    base_note_problem(job->base, "");
    end_job(job, end_of(commit), commit->strikes, commit->next_try);
}

/* There is nothing to move any more: whether the queue works, the next mail will show. */
static void
end_gone(struct job *job, const char *words)
{
    log_info("%s: %s: %s", job->id, job->identity.name, words);
    base_note_problem(job->base, "");
    end_job(job, JOB_GONE, 0, 0);
}

/* False where the commit is kept. */
static bool
end_commit(struct job *job, struct commit *commit)
{
    if (commit->kind == COMMIT_TAKE)
        return mqueue_end_take(job, commit);
    if (commit->job != NULL && commit->result == QUEUE_MORE) {
        mqueue_ask_notice(job, commit);
        return false;
    }
    switch (commit->result) {
    case QUEUE_DONE:
    case QUEUE_MORE:
        end_done(job, commit);
        return true;
    case QUEUE_REPLACED:
        end_gone(job, job->base->recorder->replaced);
        return true;
    case QUEUE_GONE:
        end_gone(job, "removed by somebody else meanwhile");
        return true;
    case QUEUE_FAILED:
        break;
    }
    held_add(job, commit);
    return false;
}

void
finish_collect(struct job *job, struct commit *commit)
{
    if (job == NULL && commit->kind == COMMIT_NOTICE)
        mqueue_log_notice(commit);
    if (job == NULL || end_commit(job, commit))
        commit_free(commit);
}

void
finish_hear(void)
{
    struct commit *commit;

    /* Drained, the schedule ticks on until master ends it. */
    while (finish.committer != NULL && (commit = committer_collect(finish.committer)) != NULL) {
        if (commit->kind == COMMIT_OPEN) {
            opening_end(commit->context, commit);
            free(commit);
        } else if (commit->kind == COMMIT_SWEPT) {
            base_note_alone(commit->queue, commit->reason);
            free(commit);
        } else if (commit->kind == COMMIT_SUBMIT) {
            submission_end(commit);
        } else {
            finish_collect(commit->context, commit);
        }
    }
}

static void
on_done(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    finish_hear();
    schedule_soon();
}

/* A tenth of the shortest retention, between a second and an hour. */
static int64_t
sweep_interval(const struct settings *settings)
{
    int64_t shortest = SWEEP_MOST_MS;

    if (settings->keep_sent > 0 && settings->keep_sent / 10 < shortest)
        shortest = settings->keep_sent / 10;
    if (settings->keep_dropped > 0 && settings->keep_dropped / 10 < shortest)
        shortest = settings->keep_dropped / 10;
    return shortest < SWEEP_LEAST_MS ? SWEEP_LEAST_MS : shortest;
}

bool
finish_open(struct error *error)
{
    const struct settings *settings = &service_configuration()->settings;
    struct committer_options options = {
        .retry = {.retry_interval = settings->retry_interval,
            .max_attempts = settings->max_attempts},
        .commit_interval = settings->commit_interval,
        .keep_sent = settings->keep_sent,
        .keep_dropped = settings->keep_dropped,
        .sweep_interval = sweep_interval(settings),
    };

    finish.committer = committer_start(&options, error);
    if (finish.committer == NULL)
        return false;
    held_open();
    finish.done = event_new(service_base(), committer_descriptor(finish.committer),
        EV_READ | EV_PERSIST, on_done, NULL);
    finish.turn_end = event_new(service_base(), -1, 0, on_turn_end, NULL);
    if (finish.done == NULL || finish.turn_end == NULL || event_add(finish.done, NULL) != 0)
        return error_set(error, "the committer cannot be waited for");
    opening_open();
    return true;
}

bool
finish_is_closing(void)
{
    return finish.closing;
}

void
finish_close(void)
{
    finish.closing = true;
    if (finish.committer == NULL)
        return;
    committer_stop(finish.committer);
    on_done(-1, 0, NULL);
    event_free(finish.done);
    event_free(finish.turn_end);
    committer_free(finish.committer);
    finish.committer = NULL;
}
