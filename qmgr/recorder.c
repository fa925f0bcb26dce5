#include <bsd/string.h>
#include <inttypes.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/service.h"
#include "qmgr/commit_move.h"
#include "qmgr/finish.h"
#include "qmgr/recorder.h"
#include "qmgr/schedule.h"
#include "qmgr/worker.h"

static bool
directory_is_open(const struct base *base)
{
    return base->queue != NULL;
}

/* --- rows of a table --- */

static bool
table_is_open(const struct base *base)
{
    (void)base;
    return true;
}

static struct mail_record
record_of(const struct job *job)
{
    return (struct mail_record){.attempts = job->attempts, .strikes = job->strikes};
}

/* Decides what becomes of the mail; that smailer-sql makes true. */
static void
table_submit(struct commit *commit)
{
    const struct settings *settings = &service_configuration()->settings;
    const struct retry_rules rules = {
        .retry_interval = settings->retry_interval, .max_attempts = settings->max_attempts};
    struct job *job = commit->context;
    struct mail_record record = record_of(job);
    int64_t now = clock_now_ms();

    /* A row is one mail: a list can only be what somebody made of cleanup. */
    if (commit->kind == COMMIT_SPLIT)
        commit->kind = COMMIT_DROP;
    commit->outcome = commit_decide(&rules, commit, now, &record);
    commit->attempts = record.attempts;
    commit->strikes = record.strikes;
    commit->next_try = record.next_try;
    strlcpy(commit->name, commit->identity.name, sizeof(commit->name));
    service_send(base_finder(job->base),
        &(struct message){.type = MESSAGE_RECORD,
            .record = {.job = job->number,
                .state = commit->outcome,
                .attempts = record.attempts,
                .strikes = record.strikes,
                .retry_in = record.next_try > now ? (uint64_t)(record.next_try - now) : 0,
                .code = record.code,
                .stage = record.stage,
                .reason = record.reason,
                .id = job->id}});
}

void
recorder_handle_recorded(struct channel *from, const struct message *message)
{
    const struct message_recorded *recorded = &message->recorded;
    struct job *job = job_find(recorded->job);

    if (job == NULL || job->phase != PHASE_COMMITTING || job->base == NULL ||
        base_finder(job->base) != from || recorded->result > QUEUE_GONE) {
        log_error("sql[%u] recorded job %" PRIu64 ", which it was not to", channel_instance(from),
            recorded->job);
        return;
    }
    job->commit->result = (enum queue_result)recorded->result;
    finish_collect(job, job->commit);
}

void
recorder_handle_journaled(struct channel *from, const struct message *message)
{
    const struct bytes *jobs = &message->journaled.jobs;
    uint64_t number;

    for (size_t at = 0; at + sizeof(number) <= jobs->size; at += sizeof(number)) {
        struct job *job;

        memcpy(&number, (const char *)jobs->data + at, sizeof(number));
        job = job_find(number);
        if (job != NULL && job->base != NULL && base_finder(job->base) == from)
            worker_note_recorded(job);
    }
    schedule_soon();
}

void
recorder_handle_lease(struct channel *from, const struct message *message)
{
    struct base *base = bases_get(message->lease.queue);

    if (base == NULL || base_finder(base) != from) {
        log_error("sql[%u] has no lease on queue %u", channel_instance(from), message->lease.queue);
        return;
    }
    base_note_lease(base, message->lease.until_ns / 1000000);
}

/* --- which is which --- */

static const struct recorder DIRECTORY = {
    .submit = finish_submit,
    .is_open = directory_is_open,
    .places = {[MAIL_WAITING] = "moved to ",
        [MAIL_DEFERRED] = "moved to defer/",
        [MAIL_SENT] = "moved to sent/",
        [MAIL_DROPPED] = "moved to drop/",
        [MAIL_HELD] = "moved to "},
    .replaced = "another file has its name now: that is a new mail",
};

static const struct recorder JOBS = {
    .submit = finish_submit,
    .is_open = directory_is_open,
    .places = {[MAIL_WAITING] = "stays, ",
        [MAIL_DEFERRED] = "stays, ",
        [MAIL_SENT] = "removed, ",
        [MAIL_DROPPED] = "removed, ",
        [MAIL_HELD] = "held, "},
    .replaced = "it was rewritten meanwhile",
};

static const struct recorder TABLE = {
    .submit = table_submit,
    .is_open = table_is_open,
    .places = {[MAIL_WAITING] = "row ",
        [MAIL_DEFERRED] = "recorded as d, row ",
        [MAIL_SENT] = "recorded as S, row ",
        [MAIL_DROPPED] = "recorded as D, row ",
        [MAIL_HELD] = "row "},
    .replaced = "the row was changed meanwhile: that is a new mail",
};

const struct recorder *
recorder_of(enum section_kind kind)
{
    static const struct recorder *const RECORDERS[SECTION_KIND_COUNT] = {
        [SECTION_SPOOL] = &DIRECTORY, [SECTION_SQL] = &TABLE, [SECTION_MQUEUE] = &JOBS};

    return RECORDERS[kind];
}

bool
recorder_is_open(const struct base *base)
{
    return base->recorder->is_open(base);
}
