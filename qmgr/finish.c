#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "qmgr/account.h"
#include "qmgr/committer.h"
#include "qmgr/finish.h"
#include "qmgr/mqueue.h"
#include "qmgr/notify.h"
#include "qmgr/recorder.h"
#include "qmgr/schedule.h"
#include "qmgr/submission.h"

/* How long a queue that could not be opened is left alone. */
#define OPEN_AGAIN_MS 10000

/* What could not be done on the disk is tried again so often. The mail stays in hand meanwhile: one
 * that the relay has accepted must not be sent again because its file cannot be moved. */
#define COMMIT_AGAIN_MS 5000

#define SWEEP_LEAST_MS 1000
#define SWEEP_MOST_MS 3600000

struct held {
    STAILQ_ENTRY(held) next;
    struct commit *commit;
};

static struct {
    struct committer *committer;
    struct event *done;
    struct event *open_again;
    struct event *commit_again;
    STAILQ_HEAD(, held) held; /* commits that failed */
    struct queue_options *options; /* of each base */
    uint32_t count;
    uint32_t held_count;
    bool closing;
} finish;

static const char *
plural(uint32_t number)
{
    return number == 1 ? "" : "s";
}

/* "moved to sent/NAME", as the log tells a mail's final place. */
static const char *
place_of(const struct job *job, enum mail_state state)
{
    return job->base->recorder->places[state];
}

/* Tells pickup, gives the mail's place back, and forgets it. */
static void
end_job(struct job *job, enum job_end end, uint32_t strikes, int64_t next_try)
{
    finish_release(job);
    worker_note_recorded(job);
    service_send(base_finder(job->base),
        &(struct message){.type = MESSAGE_FINISHED,
            .finished = {
                .job = job->number, .end = end, .strikes = strikes, .next_try = next_try}});
    base_note_end(job->base, job->identity.size);
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
    job->phase = PHASE_COMMITTING;
    finish.count++;
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
    finish.count++;
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
}

/* The line for a mail that no worker had, in the grammar of those that one had. */
static void
log_untried(const struct job *job, const char *relay, const char *enhanced, const char *status,
    const char *words)
{
    char recipients[1024];
    double delay = (double)(clock_now_ms() - job->arrived_ns / 1000000) / 1000;

    log_info("%s: from=<%s>, to=%s, relay=%s, delay=%.2f, dsn=%s, status=%s (%s)", job->id,
        job->sender != NULL ? job->sender : "",
        job_format_recipients(job, recipients, sizeof(recipients)),
        relay[0] != '\0' ? relay : "none", delay > 0 ? delay : 0.0, enhanced, status, words);
}

void
finish_dropped(struct job *job, const char *reason)
{
    log_untried(job, "", "5.6.0", "dropped", reason);
    submit(job, COMMIT_DROP, reason, NULL);
}

void
finish_deferred(struct job *job, const char *reason)
{
    log_untried(job, "", "4.3.5", "deferred", reason);
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
        log_untried(job, attempt->relay, enhanced_print(decision.enhanced, code),
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

static void
format_time(int64_t ms, char *target, size_t size)
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;

    localtime_r(&seconds, &parts);
    strftime(target, size, "%Y-%m-%dT%H:%M:%S%z", &parts);
}

/* The mail's last line of this try: where it is now. */
static void
log_place(const struct job *job, const struct commit *commit)
{
    char when[64];

    switch (commit->outcome) {
    case MAIL_DEFERRED:
        format_time(commit->next_try, when, sizeof(when));
        log_info("%s: %s%s, %u attempt%s, again after %s", job->id, place_of(job, commit->outcome),
            commit->name, commit->attempts, plural(commit->attempts), when);
        break;
    case MAIL_WAITING:
        log_info("%s: stays, %u strike%s", job->id, commit->strikes, plural(commit->strikes));
        break;
    case MAIL_DROPPED:
        if (commit->kind == COMMIT_DEFER)
            log_untried(job, "", "5.4.7", "dropped", commit->reason);
        log_info(
            "%s: %s%s: %s", job->id, place_of(job, commit->outcome), commit->name, commit->reason);
        break;
    default:
        log_info("%s: %s%s", job->id, place_of(job, commit->outcome), commit->name);
        break;
    }
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
        log_place(job, commit);
    if (commit->job != NULL) {
        mqueue_log_notice(commit);
        job->taken = commit->job->taken;
    }
    base_note_problem(job->base, "");
    end_job(job, end_of(commit), commit->strikes, commit->next_try);
}

void
finish_hold(struct job *job, struct commit *commit)
{
    struct held *held = memory_new(1, sizeof(*held));

    worker_note_recorded(job);
    base_note_problem(job->base, commit->error.text);
    held->commit = commit;
    STAILQ_INSERT_TAIL(&finish.held, held, next);
    finish.held_count++;
    if (!finish.closing && !evtimer_pending(finish.commit_again, NULL))
        service_timer_start(finish.commit_again, COMMIT_AGAIN_MS);
}

static void
on_commit_again(evutil_socket_t descriptor, short what, void *context)
{
    struct held *held;

    (void)descriptor;
    (void)what;
    (void)context;
    while ((held = STAILQ_FIRST(&finish.held)) != NULL) {
        STAILQ_REMOVE_HEAD(&finish.held, next);
        finish.held_count--;
        finish.count++;
        finish_submit(held->commit);
        free(held);
    }
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
        log_info("%s: %s: %s", job->id, job->identity.name, job->base->recorder->replaced);
        end_job(job, JOB_GONE, 0, 0);
        return true;
    case QUEUE_GONE:
        log_info("%s: %s: removed by somebody else meanwhile", job->id, job->identity.name);
        end_job(job, JOB_GONE, 0, 0);
        return true;
    case QUEUE_FAILED:
        break;
    }
    finish_hold(job, commit);
    return false;
}

/* A queue was opened, or could not be. */
static void
end_open(struct base *base, struct commit *commit)
{
    base->queue = commit->result == QUEUE_DONE ? commit->queue : NULL;
    base_note_problem(base, commit->result == QUEUE_DONE ? "" : commit->error.text);
    if (base->queue == NULL && !finish.closing)
        service_timer_start(finish.open_again, OPEN_AGAIN_MS);
    schedule_soon();
}

void
finish_collect(struct job *job, struct commit *commit)
{
    finish.count--;
    if (job == NULL && commit->kind == COMMIT_NOTICE)
        mqueue_log_notice(commit);
    if (job == NULL || end_commit(job, commit))
        commit_free(commit);
}

static void
on_done(evutil_socket_t descriptor, short what, void *context)
{
    struct commit *commit;

    (void)descriptor;
    (void)what;
    (void)context;
    while ((commit = committer_collect(finish.committer)) != NULL) {
        if (commit->kind == COMMIT_OPEN) {
            finish.count--;
            end_open(commit->context, commit);
            free(commit);
        } else if (commit->kind == COMMIT_SUBMIT) {
            finish.count--;
            submission_end(commit);
        } else {
            finish_collect(commit->context, commit);
        }
    }
    schedule_soon();
}

static void
open_base(struct base *base)
{
    const struct configuration *configuration = service_configuration();
    struct queue_options *options = &finish.options[base->number];
    struct commit *commit = memory_new(1, sizeof(*commit));

    *options = (struct queue_options){
        .section = base->settings->section,
        .sid = base->settings->sid,
        .directory = AT_FDCWD,
        .path = base->settings->path,
        .pattern = base->settings->pattern,
        .max_message_size = (uint64_t)configuration->settings.max_message_size,
        .retry_interval = base->settings->interval,
        .expire = base->settings->expire,
        .warn_after = base->settings->warn_after,
        .writable = true,
    };
    commit->kind = COMMIT_OPEN;
    commit->kind_of_queue = queue_kind_find(section_kind_name(base->settings->kind));
    commit->options = options;
    commit->descriptor = -1;
    commit->context = base;
    finish.count++;
    committer_submit(finish.committer, commit);
}

void
finish_begin(struct commit *commit)
{
    finish.count++;
    committer_submit(finish.committer, commit);
}

/* Opens what is not open. */
static void
on_open_again(evutil_socket_t descriptor, short what, void *context)
{
    struct base *base;

    (void)descriptor;
    (void)what;
    (void)context;
    for (uint32_t i = 0; !finish.closing && (base = bases_get(i)) != NULL; i++) {
        if (!recorder_is_open(base))
            open_base(base);
    }
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
    finish.options = memory_new(service_configuration()->queue_count, sizeof(*finish.options));
    STAILQ_INIT(&finish.held);
    finish.open_again = service_timer(on_open_again, NULL);
    finish.commit_again = service_timer(on_commit_again, NULL);
    finish.done = event_new(service_base(), committer_descriptor(finish.committer),
        EV_READ | EV_PERSIST, on_done, NULL);
    if (finish.done == NULL || event_add(finish.done, NULL) != 0)
        return error_set(error, "the committer cannot be waited for");
    on_open_again(-1, 0, NULL);
    return true;
}

uint32_t
finish_count(void)
{
    return finish.count;
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
    committer_free(finish.committer);
    finish.committer = NULL;
}
