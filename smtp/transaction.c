#include <stdio.h>
#include <string.h>

#include "lib/text.h"
#include "smtp/compose.h"
#include "smtp/transaction.h"

void
transaction_init(struct transaction *transaction, const struct capabilities *capabilities,
    const struct transaction_events *events, void *context)
{
    memset(transaction, 0, offsetof(struct transaction, output));
    transaction->capabilities = *capabilities;
    transaction->events = events;
    transaction->context = context;
    transaction->step = STEP_BEGIN;
    transaction->output_from = 0;
    transaction->output_to = 0;
    transaction->composed = 0;
    transaction->sent = 0;
    transaction->reached = 0;
    transaction->quitting = false;
    transaction->doomed = false;
    transaction->over = false;
    reply_reader_init(&transaction->reader);
}

bool
transaction_add(struct transaction *transaction, struct job *job)
{
    if (transaction->over || transaction->quitting || transaction->doomed ||
        transaction->job_count == TRANSACTION_JOBS_MAX)
        return false;
    job->told = 0;
    job->accepted = 0;
    job->awaited = 0;
    job->chosen = NULL;
    job->begun = false;
    job->dotted = false;
    for (size_t i = 0; i < job->recipient_count; i++)
        job->recipients[i].state = RECIPIENT_WAITING;
    transaction->jobs[(transaction->first_job + transaction->job_count++) % TRANSACTION_JOBS_MAX] =
        job;
    return true;
}

const char *
transaction_output(struct transaction *transaction, size_t *length)
{
    if (transaction->output_from == transaction->output_to && !transaction->over)
        compose(transaction);
    *length = transaction->output_to - transaction->output_from;
    return *length > 0 ? transaction->output + transaction->output_from : NULL;
}

void
transaction_sent(struct transaction *transaction, size_t length)
{
    transaction->output_from += length;
    transaction->sent += length;
    if (transaction->reached < transaction->sent)
        transaction->reached = transaction->sent;
}

void
transaction_touched(struct transaction *transaction)
{
    transaction->reached = transaction->composed;
}

static void
take_ignored(
    struct transaction *transaction, const struct awaited *awaited, const struct reply *reply)
{
    (void)transaction;
    (void)awaited;
    (void)reply;
}

static void
take_mail(struct transaction *transaction, const struct awaited *awaited, const struct reply *reply)
{
    if (reply->code >= 300)
        tell_all(transaction, awaited->job, STAGE_MAIL, reply);
}

static void
take_rcpt(struct transaction *transaction, const struct awaited *awaited, const struct reply *reply)
{
    struct recipient *recipient = &awaited->job->recipients[awaited->recipient];

    if (reply->code >= 300) {
        tell(transaction, awaited->job, awaited->recipient, STAGE_RCPT, reply);
    } else if (recipient->state == RECIPIENT_WAITING) {
        recipient->state = RECIPIENT_ACCEPTED;
        awaited->job->accepted++;
    }
}

static void
take_data(struct transaction *transaction, const struct awaited *awaited, const struct reply *reply)
{
    if (reply->code < 400) {
        compose_content(transaction, awaited->job);
    } else {
        tell_all(transaction, awaited->job, STAGE_DATA, reply);
        compose_next_job(transaction);
    }
}

static void
take_content(
    struct transaction *transaction, const struct awaited *awaited, const struct reply *reply)
{
    transaction->clean = true;
    tell_all(transaction, awaited->job, STAGE_CONTENT, reply);
}

static void
take_quit(struct transaction *transaction, const struct awaited *awaited, const struct reply *reply)
{
    (void)awaited;
    (void)reply;
    transaction->over = true;
}

/* What a reply to each command does. Beside refusals (4yz, 5yz), only the one kind makes sense. */
static const struct {
    void (*take)(
        struct transaction *transaction, const struct awaited *awaited, const struct reply *reply);
    unsigned kind;
    enum stage stage;
    bool between; /* the mail before is done with, and of this one the server knows nothing yet */
} COMMANDS[COMMAND_COUNT] = {
    [COMMAND_RSET] = {take_ignored, 2, STAGE_MAIL, true},
    [COMMAND_MAIL] = {take_mail, 2, STAGE_MAIL, true},
    [COMMAND_RCPT] = {take_rcpt, 2, STAGE_RCPT, false},
    [COMMAND_DATA] = {take_data, 3, STAGE_DATA, false},
    [COMMAND_CONTENT] = {take_content, 2, STAGE_CONTENT, false},
    [COMMAND_LONE_DOT] = {take_ignored, 2, STAGE_CONTENT, false},
    [COMMAND_QUIT] = {take_quit, 2, STAGE_UNTRIED, false},
};

static const struct awaited *
first_awaited(const struct transaction *transaction)
{
    return transaction->awaited_count > 0 ? &transaction->awaited[transaction->first_awaited]
                                          : NULL;
}

/* Where the end of the session leaves JOB. The mail under way is blamed; but one that ends between
 * two mails, as many servers do after so many of them, says nothing about the next. */
static enum stage
stage_at_end(const struct transaction *transaction, const struct job *job)
{
    const struct awaited *awaited = first_awaited(transaction);

    if (job->dotted && job->dot < transaction->reached)
        return STAGE_UNKNOWN;
    if (awaited == NULL)
        return job == transaction->jobs[transaction->first_job] &&
                       (job->begun || transaction->answered == 0)
                   ? STAGE_MAIL
                   : STAGE_UNTRIED;
    if (awaited->job != job || (COMMANDS[awaited->command].between && transaction->answered > 0))
        return STAGE_UNTRIED;
    return COMMANDS[awaited->command].stage;
}

/* Gives every mail in hand back. */
static void
give_back(struct transaction *transaction)
{
    transaction->awaited_count = 0;
    transaction->output_from = 0;
    transaction->output_to = 0;
    transaction->sending = 0;
    while (transaction->job_count > 0) {
        struct job *job = transaction->jobs[transaction->first_job];

        transaction->first_job = (transaction->first_job + 1) % TRANSACTION_JOBS_MAX;
        transaction->job_count--;
        transaction->events->finished(transaction->context, job);
    }
}

static void
words_at_end(struct reply *reply, enum stage stage, const char *words)
{
    reply->code = 0;
    reply->enhanced = (struct enhanced_code){0, 0, 0};
    if (stage == STAGE_UNTRIED)
        text_format(reply->words, sizeof(reply->words), "%s", words);
    else
        text_format(reply->words, sizeof(reply->words), "%s%s while %s",
            stage == STAGE_UNKNOWN ? "unknown whether it was taken: " : "", words,
            stage_name(stage));
    reply->length = strlen(reply->words);
}

void
transaction_break(struct transaction *transaction, const char *words)
{
    struct reply reply;

    if (transaction->over)
        return;
    transaction->over = true;
    for (size_t i = 0; i < transaction->job_count; i++) {
        struct job *job = transaction->jobs[(transaction->first_job + i) % TRANSACTION_JOBS_MAX];
        enum stage stage = stage_at_end(transaction, job);

        words_at_end(&reply, stage, words);
        tell_all(transaction, job, stage, &reply);
    }
    give_back(transaction);
}

/* The server said 421: it ends the session, whatever was asked. */
static void
take_closing(struct transaction *transaction, const struct reply *reply)
{
    const struct awaited *awaited = first_awaited(transaction);
    enum stage stage;

    if (awaited != NULL && awaited->job != NULL) {
        stage = stage_at_end(transaction, awaited->job);
        if (stage == STAGE_UNKNOWN)
            stage = STAGE_CONTENT;
        tell_all(transaction, awaited->job, stage, reply);
    }
    transaction_break(transaction, reply->words);
}

static void
break_by_reply(struct transaction *transaction, const char *problem, const struct reply *reply)
{
    char words[REPLY_WORDS_SIZE];

    text_format(words, sizeof(words), "%s (%.1000s)", problem, reply->words);
    transaction_break(transaction, words);
}

/* A reply to what is not out yet. A refusal of a content that is too long is an honest answer; but
 * the session cannot go on in the middle of a content. */
static void
take_early(
    struct transaction *transaction, const struct awaited *awaited, const struct reply *reply)
{
    if (awaited->command == COMMAND_CONTENT && reply->code >= 400)
        tell_all(transaction, awaited->job, STAGE_CONTENT, reply);
    break_by_reply(transaction, "the relay answered what was not said yet", reply);
}

static void
take_reply(struct transaction *transaction, const struct reply *reply)
{
    const struct awaited *awaited = first_awaited(transaction);
    struct awaited taken;

    if (transaction->events->spoken != NULL)
        transaction->events->spoken(transaction->context, awaited != NULL ? awaited->job : NULL,
            false, reply->words, reply->length);
    if (reply->code == 421) {
        take_closing(transaction, reply);
    } else if (awaited == NULL) {
        break_by_reply(transaction, "the relay answered what was not asked", reply);
    } else if (transaction->reached < awaited->end) {
        take_early(transaction, awaited, reply);
    } else if (reply->code < 400 && reply->code / 100 != COMMANDS[awaited->command].kind) {
        break_by_reply(transaction, "the relay gave an answer that makes no sense", reply);
    } else {
        taken = *awaited;
        transaction->first_awaited = (transaction->first_awaited + 1) % TRANSACTION_AWAITED_MAX;
        transaction->awaited_count--;
        if (taken.job != NULL)
            taken.job->awaited--;
        COMMANDS[taken.command].take(transaction, &taken, reply);
        finish_jobs(transaction);
        if (transaction->doomed && transaction->job_count == 0)
            transaction->over = true;
    }
}

void
transaction_receive(struct transaction *transaction, const char *octets, size_t length)
{
    while (length > 0 && !transaction->over) {
        size_t used;
        enum reply_progress progress = reply_read(&transaction->reader, octets, length, &used);

        octets += used;
        length -= used;
        if (progress == REPLY_BROKEN)
            transaction_break(transaction, transaction->reader.problem);
        else if (progress == REPLY_COMPLETE)
            take_reply(transaction, &transaction->reader.reply);
    }
}

/* Where in the ring the job with CONTEXT is; job_count where it is not. */
static size_t
find_job(const struct transaction *transaction, const void *context)
{
    size_t at = 0;

    while (
        at < transaction->job_count &&
        transaction->jobs[(transaction->first_job + at) % TRANSACTION_JOBS_MAX]->context != context)
        at++;
    return at;
}

static void
remove_job(struct transaction *transaction, size_t at)
{
    struct job **jobs = transaction->jobs;
    size_t first = transaction->first_job;

    for (transaction->job_count--; at < transaction->job_count; at++)
        jobs[(first + at) % TRANSACTION_JOBS_MAX] = jobs[(first + at + 1) % TRANSACTION_JOBS_MAX];
}

/* Replies that are awaited for JOB, which is the last that the server heard of, come to nobody. */
static void
forget_awaited(struct transaction *transaction, const struct job *job)
{
    while (transaction->awaited_count > 0) {
        size_t last = transaction->first_awaited + transaction->awaited_count - 1;

        if (transaction->awaited[last % TRANSACTION_AWAITED_MAX].job != job)
            return;
        transaction->awaited_count--;
    }
}

bool
transaction_recall(struct transaction *transaction, const void *context)
{
    size_t at = find_job(transaction, context);
    struct job *job;
    struct reply reply;

    if (transaction->over || at == 0 || at >= transaction->job_count)
        return false;
    job = transaction->jobs[(transaction->first_job + at) % TRANSACTION_JOBS_MAX];
    if (at < transaction->sending || job->dotted || job->told > 0 ||
        (at == transaction->sending && transaction->step > STEP_WAIT))
        return false;
    if (at == transaction->sending && transaction->step != STEP_BEGIN) {
        transaction->doomed = true;
        forget_awaited(transaction, job);
    }
    remove_job(transaction, at);
    words_at_end(&reply, STAGE_UNTRIED, "the mail before it does not get on");
    tell_all(transaction, job, STAGE_UNTRIED, &reply);
    transaction->events->finished(transaction->context, job);
    return true;
}

void
transaction_quit(struct transaction *transaction)
{
    transaction->quitting = true;
}

bool
transaction_over(const struct transaction *transaction)
{
    return transaction->over;
}

size_t
transaction_jobs(const struct transaction *transaction)
{
    return transaction->job_count;
}

uint64_t
transaction_answered(const struct transaction *transaction)
{
    return transaction->answered;
}

enum stage
transaction_stage(const struct transaction *transaction)
{
    const struct awaited *awaited = first_awaited(transaction);

    if (awaited == NULL)
        return STAGE_UNTRIED;
    if (COMMANDS[awaited->command].stage == STAGE_CONTENT && transaction->sent >= awaited->end)
        return STAGE_UNKNOWN;
    return COMMANDS[awaited->command].stage;
}
