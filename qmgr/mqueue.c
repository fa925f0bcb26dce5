#include "qmgr/mqueue.h"

#include <bsd/string.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/outcome.h"
#include "lib/service.h"
#include "lib/text.h"
#include "qmgr/account.h"
#include "qmgr/finish.h"
#include "qmgr/held.h"
#include "qmgr/notify.h"
#include "qmgr/schedule.h"
#include "qmgr/show.h"
#include "qmgr/worker.h"

/* How long a job is left alone that somebody else has locked, */
#define BUSY_MS 2000
/* and one that cannot be sent as it is, where that may soon be otherwise. */
#define LEFT_MS 60000

#define LINE_SIZE 1001

/* A commit whose notice cleanup has. */
struct asked {
    STAILQ_ENTRY(asked) next;
    struct job *job;
    struct commit *commit;
    struct notice_request *request; /* of a mail that is no job of an mqueue, or NULL */
    uint32_t instance;
};

static STAILQ_HEAD(, asked) asked_for = STAILQ_HEAD_INITIALIZER(asked_for);

/* --- locking --- */

void
mqueue_take_job(struct job *job, bool force)
{
    struct commit *commit = finish_prepare(job, COMMIT_TAKE, "");

    commit->job->force = force;
    finish_commit(job, commit);
}

static void
leave(struct job *job, const struct commit *commit)
{
    char words[LINE_SIZE];

    text_format(
        words, sizeof(words), "%s: stays as it is: %s", job->identity.name, commit->error.text);
    log_warn("%s: %s", job->id, words);
    show_refused(job, words);
    finish_untouched(job, JOB_LATER, clock_now_ms() + LEFT_MS);
}

static void
end_busy(struct job *job, const struct commit *commit)
{
    (void)commit;
    log_debug("%s: %s: locked", job->id, job->identity.name);
    finish_untouched(job, JOB_LATER, clock_now_ms() + BUSY_MS);
}

static void
end_young(struct job *job, const struct commit *commit)
{
    finish_untouched(job, JOB_LATER, commit->next_try);
}

static void
end_gone(struct job *job, const struct commit *commit)
{
    (void)commit;
    finish_untouched(job, JOB_GONE, 0);
}

static void
end_held(struct job *job, const struct commit *commit)
{
    (void)commit;
    log_info("%s: %s: held, for it is quarantined", job->id, job->identity.name);
    finish_untouched(job, JOB_DROPPED, 0);
}

static void
end_lost(struct job *job, const struct commit *commit)
{
    char words[LINE_SIZE];

    text_format(words, sizeof(words), "Losing %s: %s", job->identity.name, commit->error.text);
    log_error("%s: %s", job->id, words);
    show_refused(job, words);
    finish_untouched(job, JOB_DROPPED, 0);
}

static void
end_finished(struct job *job, const struct commit *commit)
{
    (void)commit;
    log_info("%s: %s: removed, for nobody is left to send it to", job->id, job->identity.name);
    finish_untouched(job, JOB_SENT, 0);
}

/* Of several, the largest is what a run ends with. */
static void
note_status(struct job *job, int status)
{
    if (status > job->status)
        job->status = status;
}

static void
end_taken(struct job *job, const struct commit *commit)
{
    job->taken = commit->job->taken;
    if (mqueue_had_transcript(job->taken))
        note_status(job, EX_OSERR);
    if ((job->flags & MAIL_FLAG_FLAWED) != 0)
        note_status(job, EX_SOFTWARE);
    schedule_job(job);
}

bool
mqueue_end_take(struct job *job, struct commit *commit)
{
    static void (*const ENDS[])(struct job *, const struct commit *) = {
        [MQUEUE_TAKEN] = end_taken,
        [MQUEUE_BUSY] = end_busy,
        [MQUEUE_YOUNG] = end_young,
        [MQUEUE_GONE] = end_gone,
        [MQUEUE_LEFT] = leave,
        [MQUEUE_EMPTY] = leave,
        [MQUEUE_NO_DATA] = leave,
        [MQUEUE_UNSAFE] = end_lost,
        [MQUEUE_HELD] = end_held,
        [MQUEUE_LOST] = end_lost,
        [MQUEUE_FINISHED] = end_finished,
        [MQUEUE_FAILED] = leave,
    };
    static const int STATUS[] = {
        [MQUEUE_LEFT] = EX_SOFTWARE,
        [MQUEUE_NO_DATA] = EX_OSERR,
        [MQUEUE_LOST] = EX_SOFTWARE,
        [MQUEUE_FAILED] = EX_OSERR,
    };

    job->status = STATUS[commit->job->take];
    ENDS[commit->job->take](job, commit);
    return true;
}

/* --- outcomes --- */

/* The place of the R line of recipient NUMBER of those that are sent to. */
static uint32_t
line_of(const struct job *job, uint32_t number)
{
    size_t at = 0;

    for (uint32_t i = 0; at < job->details_size; i++) {
        if (i == number)
            return (uint32_t)strtoul(job->details + at, NULL, 10);
        at += strlen(job->details + at) + 1;
    }
    return MQUEUE_ALL_RECIPIENTS;
}

/* An R line that stands for several addresses is deferred where one of them is, and failed where
 * one of them did. */
static struct mqueue_outcome *
note(struct job *job, uint32_t line, enum outcome outcome)
{
    static const int WORSE[] = {[OUTCOME_SENT] = 0, [OUTCOME_DROPPED] = 1, [OUTCOME_DEFERRED] = 2};
    struct mqueue_outcome *noted;

    for (size_t i = 0; i < job->outcome_count; i++)
        if (job->outcomes[i].recipient == line)
            return WORSE[outcome] > WORSE[job->outcomes[i].outcome] ? &job->outcomes[i] : NULL;
    job->outcomes = memory_resize(job->outcomes, job->outcome_count + 1, sizeof(job->outcomes[0]));
    noted = &job->outcomes[job->outcome_count++];
    memset(noted, 0, sizeof(*noted));
    noted->recipient = line;
    return noted;
}

static void
set(struct job *job, uint32_t line, const struct mqueue_outcome *said)
{
    struct mqueue_outcome *noted = note(job, line, said->outcome);

    if (noted == NULL)
        return;
    *noted = *said;
    noted->recipient = line;
}

void
mqueue_note_problems(struct job *job, const struct bytes *problems)
{
    static const char *const STATUS[] = {
        [OUTCOME_SENT] = "", [OUTCOME_DEFERRED] = "4.1.1", [OUTCOME_DROPPED] = "5.1.1"};
    static const char *const NAMES[] = {
        [OUTCOME_SENT] = "sent", [OUTCOME_DEFERRED] = "deferred", [OUTCOME_DROPPED] = "dropped"};
    const char *text = problems->data;
    size_t left = problems->size;

    while (left > 0 && memchr(text, '\0', left) != NULL) {
        struct mqueue_outcome said = {0};
        char *end;
        uint32_t line = (uint32_t)strtoul(text, &end, 10);
        unsigned long outcome = strtoul(end, &end, 10);

        if (outcome <= OUTCOME_DROPPED) {
            said.outcome = (enum outcome)outcome;
            said.is_problem = said.outcome != OUTCOME_SENT;
            /* The same as another one: whoever is told of that one need not hear of it again. */
            said.tells = RELAY_TELLS_SUCCESS | RELAY_TELLS_TIME;
            said.status = said.outcome == OUTCOME_DROPPED ? EX_NOUSER : EX_OK;
            strlcpy(said.enhanced, STATUS[outcome], sizeof(said.enhanced));
            strlcpy(said.words, end + strspn(end, " "), sizeof(said.words));
            set(job, line, &said);
            if (said.outcome != OUTCOME_SENT)
                log_info("%s: recipient %u: relay=none, dsn=%s, status=%s (%s)", job->id, line + 1,
                    said.enhanced, NAMES[outcome], said.words);
        }
        left -= strlen(text) + 1;
        text += strlen(text) + 1;
    }
}

int
mqueue_status(enum stage stage, uint32_t code)
{
    bool is_unknown = code == 550 || code == 551 || code == 553;

    return stage == STAGE_RCPT && is_unknown ? EX_NOUSER : EX_UNAVAILABLE;
}

bool
mqueue_note_result(
    struct job *job, const struct message_result *result, const struct worker *worker)
{
    struct mqueue_outcome said = {.code = result->code, .tells = worker->tells};
    struct enhanced_code enhanced = {0};
    struct decision decision;

    if (result->stage >= STAGE_COUNT)
        return false;
    if (result->stage == STAGE_UNTRIED)
        return result->last != 0;
    enhanced_parse(result->enhanced, strlen(result->enhanced), &enhanced);
    decision = outcome_decide((enum stage)result->stage, result->code, enhanced);
    said.outcome = decision.outcome;
    enhanced_print(decision.enhanced, said.enhanced);
    strlcpy(said.relay, worker->relay, sizeof(said.relay));
    strlcpy(said.words, result->words, sizeof(said.words));
    if (said.outcome == OUTCOME_DROPPED)
        said.status = mqueue_status((enum stage)result->stage, result->code);
    set(job, line_of(job, result->recipient), &said);
    job->told++;
    job->handed_over |= said.outcome == OUTCOME_SENT || result->stage == STAGE_UNKNOWN;
    return result->last != 0;
}

void
mqueue_finish(struct job *job)
{
    bool deferred = job->outcome_count == 0;
    bool dropped = false;
    const char *words = "";

    for (size_t i = 0; i < job->outcome_count; i++) {
        deferred |= job->outcomes[i].outcome == OUTCOME_DEFERRED;
        dropped |= job->outcomes[i].outcome == OUTCOME_DROPPED;
        note_status(job, job->outcomes[i].status);
        if (job->outcomes[i].is_problem)
            show_problem(job, &job->outcomes[i]);
    }
    for (size_t i = 0; i < job->outcome_count; i++)
        if (job->outcomes[i].outcome != OUTCOME_SENT)
            words = job->outcomes[i].words;
    finish_outcomes(job,
        deferred  ? OUTCOME_DEFERRED
        : dropped ? OUTCOME_DROPPED
                  : OUTCOME_SENT,
        words);
}

/* --- notices --- */

static uint32_t
find_cleanup(const struct job *job)
{
    uint32_t instances = service_configuration()->programs[ROLE_CLEANUP].instances;

    if (service_peer(ROLE_CLEANUP, job->cleanup) != NULL)
        return job->cleanup;
    for (uint32_t i = 0; i <= instances; i++)
        if (service_peer(ROLE_CLEANUP, i) != NULL)
            return i;
    return UINT32_MAX;
}

static void
fail(struct job *job, struct commit *commit, const char *reason)
{
    error_set(&commit->error, "no notice to the sender could be made: %s", reason);
    held_add(job, commit);
}

/* It could not be made. A job of an mqueue waits until it can; another mail does not. */
static void
give_up(struct asked *asked, const char *reason)
{
    if (asked->request == NULL)
        fail(asked->job, asked->commit, reason);
    else
        notify_made(asked->job, asked->commit, asked->request, -1, 0);
    free(asked);
}

static void
ask(struct asked *asked, const struct notice_request *wanted, const char *hostname)
{
    asked->instance = find_cleanup(asked->job);
    if (asked->instance == UINT32_MAX) {
        give_up(asked, "smailer-cleanup is not there");
        return;
    }
    STAILQ_INSERT_TAIL(&asked_for, asked, next);
    base_enter_phase(asked->job, PHASE_NOTICE);
    service_send(service_peer(ROLE_CLEANUP, asked->instance),
        &(struct message){.type = MESSAGE_NOTICE,
            .notice = {.job = asked->job->number,
                .full = wanted->full,
                .created = wanted->created,
                .expires = wanted->expires,
                .queue_id = wanted->queue_id,
                .sender = wanted->sender,
                .hostname = hostname,
                .envelope_id = wanted->envelope_id,
                .recipients = {wanted->recipients, wanted->size},
                .content = job_content(asked->job)}});
}

void
mqueue_ask_notice(struct job *job, struct commit *commit)
{
    struct asked *asked = memory_new(1, sizeof(*asked));

    *asked = (struct asked){.job = job, .commit = commit};
    ask(asked, commit->job->wanted, job->base->settings->hostname);
}

void
mqueue_ask(
    struct job *job, struct commit *commit, struct notice_request *request, const char *hostname)
{
    struct asked *asked = memory_new(1, sizeof(*asked));

    *asked = (struct asked){.job = job, .commit = commit, .request = request};
    ask(asked, request, hostname);
}

static struct asked *
find_asked(uint64_t number)
{
    struct asked *asked;

    STAILQ_FOREACH(asked, &asked_for, next)
    {
        if (asked->job->number == number)
            return asked;
    }
    return NULL;
}

static void
take_notice(struct asked *asked, const struct message_notice_made *made)
{
    struct commit *commit = asked->commit;

    if (asked->request != NULL) {
        notify_made(asked->job, commit, asked->request, made->content, made->header);
        return;
    }
    commit->job->notice = made->content;
    commit->job->notice_header = made->header;
    finish_commit(asked->job, commit);
}

void
mqueue_handle_notice(struct channel *from, const struct message *message)
{
    const struct message_notice_made *made = &message->notice_made;
    struct asked *asked = find_asked(made->job);

    if (asked == NULL || asked->instance != channel_instance(from)) {
        log_error("cleanup[%u]: a notice for job %" PRIu64 ", which was not asked for",
            channel_instance(from), made->job);
        message_discard(message);
        return;
    }
    STAILQ_REMOVE(&asked_for, asked, asked, next);
    if (made->content < 0 || made->header > CONTROL_FILE_SIZE_MAX) {
        message_discard(message);
        give_up(asked, made->reason);
        return;
    }
    take_notice(asked, made);
    free(asked);
}

void
mqueue_cleanup_left(struct channel *channel)
{
    struct asked *asked = STAILQ_FIRST(&asked_for);

    while (asked != NULL) {
        struct asked *after = STAILQ_NEXT(asked, next);

        if (asked->instance == channel_instance(channel)) {
            STAILQ_REMOVE(&asked_for, asked, asked, next);
            give_up(asked, "smailer-cleanup ended");
        }
        asked = after;
    }
}

void
mqueue_log_notice(const struct commit *commit)
{
    if (commit->job->notice_id[0] != '\0')
        log_info("%s: sender notification: %s", commit->id, commit->job->notice_id);
    else if (commit->kind == COMMIT_NOTICE)
        log_error("%s: no sender notification: %s", commit->id, commit->error.text);
}
