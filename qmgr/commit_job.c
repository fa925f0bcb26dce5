#include "qmgr/commit_job.h"

#include <bsd/string.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/outcome.h"
#include "queue/control_file.h"

/* What a notice's recipients may have, that a message can carry them. */
#define MENTIONS_MAX 60000

void
commit_free(struct commit *commit)
{
    struct commit_job *job = commit->job;

    if (job != NULL) {
        if (job->wanted != NULL)
            free(job->wanted->recipients);
        free(job->wanted);
        if (job->notice >= 0)
            close(job->notice);
        free(job);
    }
    if (commit->descriptor >= 0)
        close(commit->descriptor);
    free(commit);
}

/* --- taking --- */

static enum queue_result
take(struct commit *commit, bool force)
{
    static const enum queue_result RESULTS[] = {[MQUEUE_TAKEN] = QUEUE_DONE,
        [MQUEUE_BUSY] = QUEUE_DONE,
        [MQUEUE_YOUNG] = QUEUE_DONE,
        [MQUEUE_GONE] = QUEUE_GONE,
        [MQUEUE_LEFT] = QUEUE_DONE,
        [MQUEUE_EMPTY] = QUEUE_DONE,
        [MQUEUE_NO_DATA] = QUEUE_DONE,
        [MQUEUE_UNSAFE] = QUEUE_DONE,
        [MQUEUE_HELD] = QUEUE_DONE,
        [MQUEUE_LOST] = QUEUE_DONE,
        [MQUEUE_FINISHED] = QUEUE_DONE,
        [MQUEUE_FAILED] = QUEUE_FAILED};
    struct mail_record record;

    commit->job->take = mqueue_take(commit->queue, &commit->identity, force, clock_now_ms(),
        &commit->job->taken, &commit->error);
    if (commit->job->take == MQUEUE_YOUNG) {
        queue_mail_record(commit->queue, &commit->identity, clock_now_ms(), &record);
        commit->next_try = record.next_try;
    }
    return RESULTS[commit->job->take];
}

static enum queue_result
run_take(struct commit *commit)
{
    return take(commit, commit->job->force);
}

static enum queue_result
run_release(struct commit *commit)
{
    mqueue_release(commit->job->taken);
    commit->job->taken = NULL;
    return QUEUE_DONE;
}

/* False where the job was not in hand, and cannot be taken: RESULT says why. */
static bool
ensure_taken(struct commit *commit, enum queue_result *result)
{
    if (commit->job->taken != NULL)
        return true;
    *result = take(commit, true);
    if (*result == QUEUE_DONE && commit->job->taken == NULL)
        *result = QUEUE_GONE;
    return commit->job->taken != NULL;
}

static enum queue_result
run_hold(struct commit *commit)
{
    enum queue_result result;

    if (!ensure_taken(commit, &result))
        return result;
    if (!mqueue_hold(commit->job->taken, commit->reason, &commit->error))
        return QUEUE_FAILED;
    commit->job->taken = NULL;
    commit->outcome = MAIL_HELD;
    return QUEUE_DONE;
}

/* --- telling the sender --- */

/* Appends TEXT with its NUL, as long as there is room. */
static void
put(struct notice_request *request, const char *text)
{
    size_t size = strlen(text) + 1;

    memcpy(request->recipients + request->size, text, size);
    request->size += size;
}

/* The status of RFC 3463 that a notice has. */
static void
format_status(const struct mqueue_mention *mention, char status[16])
{
    static const char *const DEFAULTS[] = {
        [MENTION_FAILED] = "5.0.0", [MENTION_DELAYED] = "4.0.0", [MENTION_RELAYED] = "2.0.0"};
    const struct mqueue_outcome *outcome = mention->outcome;

    if (mention->expired)
        strlcpy(status, "4.4.7", 16);
    else if (outcome->enhanced[0] != '\0')
        strlcpy(status, outcome->enhanced, 16);
    else
        strlcpy(status, DEFAULTS[mention->kind], 16);
}

/* Whom the notice is about: Final-Recipient as the job has it (r), else the address. */
static const char *
name_of(const struct control_recipient *recipient)
{
    static const char TYPE[] = "RFC822;";
    const char *final = recipient->final;

    if (final == NULL || strncasecmp(final, TYPE, sizeof(TYPE) - 1) != 0)
        return recipient->address;
    final += sizeof(TYPE) - 1;
    final += strspn(final, " ");
    return final[0] != '\0' ? final : recipient->address;
}

static void
put_mention(struct notice_request *request, const struct control_recipient *recipient,
    const struct mqueue_mention *mention)
{
    static const char *const ACTIONS[] = {
        [MENTION_FAILED] = "failed", [MENTION_DELAYED] = "delayed", [MENTION_RELAYED] = "relayed"};
    const struct mqueue_outcome *outcome = mention->outcome;
    char status[16];
    size_t size = strlen(name_of(recipient)) + strlen(outcome->words) + strlen(outcome->relay) +
                  (recipient->original != NULL ? strlen(recipient->original) : 0) + 64;

    if (request->size + size > MENTIONS_MAX)
        return;
    format_status(mention, status);
    put(request, name_of(recipient));
    put(request, recipient->original != NULL ? recipient->original : "");
    put(request, ACTIONS[mention->kind]);
    put(request, status);
    put(request, outcome->words);
    put(request, outcome->relay);
}

/* RET=HDRS, a warning and a receipt spare the content. */
static bool
wants_content(const struct control_file *control, const struct mqueue_decision *decision)
{
    for (size_t i = 0; i < decision->mention_count; i++)
        if (decision->mentions[i].kind == MENTION_FAILED)
            return !control_flag(control->flags, 'n');
    return false;
}

static struct notice_request *
request_notice(const struct commit *commit, const struct mqueue_decision *decision)
{
    const struct control_file *control = mqueue_control(commit->job->taken);
    struct notice_request *request = memory_new(1, sizeof(*request));

    strlcpy(request->queue_id, commit->identity.name + 2, sizeof(request->queue_id));
    strlcpy(request->sender, control->sender, sizeof(request->sender));
    strlcpy(request->envelope_id, control->envelope_id != NULL ? control->envelope_id : "",
        sizeof(request->envelope_id));
    request->full = wants_content(control, decision);
    request->created = control->created;
    request->expires = decision->expires / 1000;
    request->recipients = memory_new(MENTIONS_MAX, 1);
    for (size_t i = 0; i < decision->mention_count; i++)
        put_mention(
            request, &control->recipients[decision->mentions[i].recipient], &decision->mentions[i]);
    return request;
}

/* The control file of a notice, as text: its envelope, and the header that cleanup made. */
static char *
format_notice(const struct commit *commit, size_t *length)
{
    const struct commit_job *job = commit->job;
    char *header = memory_new(job->notice_header + 1, 1);
    char *text = NULL;
    FILE *stream = open_memstream(&text, length);

    if (stream == NULL)
        fatal(EX_OSERR, "out of memory: a notice");
    fputs("V8\nFr\n", stream);
    if (job->account != NULL && job->account[0] != '\0')
        fprintf(stream, "${smailer_account}%s\n", job->account);
    fprintf(stream, "S<>\nRPF:%s\n", job->wanted->sender);
    if (pread(job->notice, header, job->notice_header, 0) == (ssize_t)job->notice_header)
        fwrite(header, 1, job->notice_header, stream);
    fputs(".\n", stream);
    if (fclose(stream) != 0)
        fatal(EX_OSERR, "out of memory: a notice");
    free(header);
    return text;
}

/* Makes a job of the notice, on the disk before the one that it is about changes. */
static bool
submit_notice(struct commit *commit)
{
    struct commit_job *job = commit->job;
    struct mqueue_submission submission = {.body = job->notice, .offset = job->notice_header};
    size_t length;
    char *text = format_notice(commit, &length);
    bool done =
        control_file_parse(&submission.control, text, length, &commit->error) == CONTROL_GOOD &&
        mqueue_submit(commit->queue, &submission, job->now, job->notice_id, &commit->error);

    control_file_free(&submission.control);
    free(text);
    return done;
}

/* --- settling --- */

static enum queue_result
settle_decided(struct commit *commit, struct mqueue_decision *decision)
{
    struct commit_job *job = commit->job;

    if (decision->mention_count > 0 && job->notice_id[0] == '\0') {
        if (job->wanted == NULL)
            job->wanted = request_notice(commit, decision);
        if (job->notice < 0)
            return QUEUE_MORE;
        if (!submit_notice(commit))
            return QUEUE_FAILED;
    }
    commit->attempts = (uint32_t)mqueue_control(job->taken)->attempts + 1;
    if (!mqueue_settle(job->taken, decision, job->now, &commit->error))
        return QUEUE_FAILED;
    job->taken = NULL;
    job->remaining = (uint32_t)decision->remaining;
    job->failed = (uint32_t)decision->failed;
    commit->next_try = decision->next_try;
    commit->outcome = decision->remaining > 0 ? MAIL_DEFERRED
                      : decision->failed > 0  ? MAIL_DROPPED
                                              : MAIL_SENT;
    return QUEUE_DONE;
}

/* OUTCOME, of all recipients, where the caller does not say more. */
static enum queue_result
settle(struct commit *commit, enum outcome outcome)
{
    struct commit_job *job = commit->job;
    struct mqueue_outcome all = {.recipient = MQUEUE_ALL_RECIPIENTS, .outcome = outcome};
    struct mqueue_decision decision;
    enum queue_result result;

    if (!ensure_taken(commit, &result))
        return result;
    if (job->now == 0)
        job->now = clock_now_ms();
    strlcpy(all.words, commit->reason, sizeof(all.words));
    mqueue_decide(job->taken, job->outcome_count > 0 ? job->outcomes : &all,
        job->outcome_count > 0 ? job->outcome_count : 1, job->now, &decision);
    result = settle_decided(commit, &decision);
    mqueue_decision_free(&decision);
    return result;
}

static enum queue_result
run_sent(struct commit *commit)
{
    return settle(commit, OUTCOME_SENT);
}

static enum queue_result
run_defer(struct commit *commit)
{
    return settle(commit, OUTCOME_DEFERRED);
}

static enum queue_result
run_drop(struct commit *commit)
{
    return settle(commit, OUTCOME_DROPPED);
}

/* The third strike defers it. */
static enum queue_result
run_strike(struct commit *commit)
{
    enum queue_result result;

    if (!ensure_taken(commit, &result))
        return result;
    if (commit->strikes == 0 &&
        !mqueue_strike(commit->job->taken, &commit->strikes, &commit->error))
        return QUEUE_FAILED;
    if (commit->strikes >= QUEUE_STRIKES_TO_DEFER)
        return settle(commit, OUTCOME_DEFERRED);
    commit->outcome = MAIL_WAITING;
    return run_release(commit);
}

static enum queue_result
run_notice(struct commit *commit)
{
    commit->job->now = clock_now_ms();
    return submit_notice(commit) ? QUEUE_DONE : QUEUE_FAILED;
}

void
commit_job_run(struct commit *commit)
{
    static enum queue_result (*const RUN[COMMIT_KINDS])(struct commit *) = {
        [COMMIT_SENT] = run_sent,
        [COMMIT_DEFER] = run_defer,
        [COMMIT_DROP] = run_drop,
        [COMMIT_STRIKE] = run_strike,
        [COMMIT_TAKE] = run_take,
        [COMMIT_RELEASE] = run_release,
        [COMMIT_HOLD] = run_hold,
        [COMMIT_NOTICE] = run_notice,
    };

    memcpy(commit->name, commit->identity.name, sizeof(commit->name));
    commit->result = RUN[commit->kind](commit);
}
