#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/text.h"
#include "smtp/compose.h"

/* A command or a piece of content is only begun with so much room for it. */
#define LEAST_ROOM COMMAND_SIZE_MAX

static size_t
room(const struct transaction *transaction)
{
    return sizeof(transaction->output) - transaction->output_to;
}

static struct job *
current_job(const struct transaction *transaction)
{
    if (transaction->sending == transaction->job_count)
        return NULL;
    return transaction
        ->jobs[(transaction->first_job + transaction->sending) % TRANSACTION_JOBS_MAX];
}

/* True where the server may be told another command now. */
static bool
may_speak(const struct transaction *transaction)
{
    if (!transaction->capabilities.pipelining)
        return transaction->awaited_count == 0;
    return transaction->awaited_count < TRANSACTION_AWAITED_MAX;
}

static void
spoken(
    const struct transaction *transaction, const struct job *job, const char *line, size_t length)
{
    if (transaction->events->spoken != NULL)
        transaction->events->spoken(transaction->context, job, true, line, length);
}

static void
append(struct transaction *transaction, const char *octets, size_t length)
{
    memcpy(transaction->output + transaction->output_to, octets, length);
    transaction->output_to += length;
    transaction->composed += length;
}

static struct awaited *
await(struct transaction *transaction, enum command command, struct job *job)
{
    struct awaited *awaited =
        &transaction->awaited[(transaction->first_awaited + transaction->awaited_count++) %
                              TRANSACTION_AWAITED_MAX];

    *awaited = (struct awaited){command, job, transaction->recipient, transaction->composed};
    if (job != NULL)
        job->awaited++;
    return awaited;
}

/* Says LINE, which ends with CRLF, and awaits its reply. */
static void
say(struct transaction *transaction, enum command command, struct job *job, const char *line,
    size_t length)
{
    append(transaction, line, length);
    await(transaction, command, job);
    spoken(transaction, job, line, length - 2);
}

void
tell(struct transaction *transaction, struct job *job, size_t recipient, enum stage stage,
    const struct reply *reply)
{
    struct recipient *told = &job->recipients[recipient];

    if (told->state == RECIPIENT_TOLD)
        return;
    if (told->state == RECIPIENT_ACCEPTED)
        job->accepted--;
    told->state = RECIPIENT_TOLD;
    job->told++;
    transaction->events->told(transaction->context, job, recipient, stage, reply);
}

void
tell_all(
    struct transaction *transaction, struct job *job, enum stage stage, const struct reply *reply)
{
    for (size_t i = 0; i < job->recipient_count; i++)
        tell(transaction, job, i, stage, reply);
}

void
finish_jobs(struct transaction *transaction)
{
    while (transaction->sending > 0) {
        struct job *job = transaction->jobs[transaction->first_job];

        if (job->told < job->recipient_count || job->awaited > 0)
            return;
        transaction->first_job = (transaction->first_job + 1) % TRANSACTION_JOBS_MAX;
        transaction->job_count--;
        transaction->sending--;
        transaction->answered += job->begun;
        transaction->events->finished(transaction->context, job);
    }
}

void
compose_next_job(struct transaction *transaction)
{
    transaction->sending++;
    transaction->step = STEP_BEGIN;
    transaction->recipient = 0;
}

/* The reply that the server would give, had it been asked. */
static void __attribute__((format(printf, 4, 5))) local_reply(
    struct reply *reply, unsigned code, struct enhanced_code enhanced, const char *format, ...)
{
    char text[512];
    char shown[ENHANCED_TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    text_format_list(text, sizeof(text), format, arguments);
    va_end(arguments);
    reply->code = code;
    reply->enhanced = enhanced;
    reply->length = (size_t)snprintf(reply->words, sizeof(reply->words), "%u %s %s (not sent)",
        code, enhanced_print(enhanced, shown), text);
}

static void
refuse_address(struct transaction *transaction, struct job *job, size_t recipient)
{
    struct reply reply;

    local_reply(&reply, 553, (struct enhanced_code){5, 1, 3}, "the address is malformed");
    tell(transaction, job, recipient, STAGE_RCPT, &reply);
}

static bool
is_international(const struct job *job)
{
    bool international = job->smtputf8 || address_is_international(job->sender);

    for (size_t i = 0; i < job->recipient_count && !international; i++)
        international = address_is_international(job->recipients[i].address);
    return international;
}

/* Which form of the content the server can take; NULL: none. */
static const struct content *
choose_content(const struct job *job, const struct capabilities *capabilities)
{
    if (!job->eight_bit || capabilities->eight_bit)
        return &job->content;
    return job->encoded.size > 0 ? &job->encoded : NULL;
}

/* Seconds that JOB has left to be there. */
static int64_t
time_left(const struct job *job)
{
    return job->deliver_by - (int64_t)time(NULL);
}

/* A mail that goes back when it is late goes to nobody who may not know of it being late (RFC 2852,
 * section 4.1.4.1). */
static bool
is_too_late(const struct job *job, const struct capabilities *capabilities, struct reply *reply)
{
    static const struct enhanced_code LATE = {5, 4, 7};
    int64_t left = time_left(job);

    if (job->deliver_by == 0 || !job->returned_late)
        return false;
    if (left <= 0)
        local_reply(reply, 554, LATE, "the time that the mail had to be delivered in is over");
    else if (!capabilities->deliver_by)
        local_reply(reply, 554, LATE,
            "the mail has to come back when it is late, and the relay does not offer DELIVERBY");
    else if ((uint64_t)left < capabilities->least_time)
        local_reply(reply, 554, LATE, "the mail has %" PRId64 " s left, the relay wants %" PRIu64,
            left, capabilities->least_time);
    else
        return false;
    return true;
}

/* True where the server has said already that it cannot take JOB: REPLY then says what. */
static bool
refused_beforehand(
    const struct job *job, const struct capabilities *capabilities, struct reply *reply)
{
    if (!capabilities->smtputf8 && job->smtputf8)
        local_reply(reply, 553, (struct enhanced_code){5, 6, 7},
            "the mail needs SMTPUTF8, which the relay does not offer");
    else if (job->chosen == NULL)
        local_reply(reply, 554, (struct enhanced_code){5, 6, 3},
            "the mail needs 8BITMIME, which the relay does not offer");
    else if (capabilities->size_limit > 0 && job->chosen->size > capabilities->size_limit)
        local_reply(reply, 552, (struct enhanced_code){5, 3, 4},
            "the mail has %" PRIu64 " octets, the relay takes %" PRIu64, job->chosen->size,
            capabilities->size_limit);
    else
        return is_too_late(job, capabilities, reply);
    return true;
}

static bool
step_quit(struct transaction *transaction)
{
    static const char LINE[] = "QUIT\r\n";

    if (!transaction->quitting || transaction->awaited_count > 0)
        return false;
    say(transaction, COMMAND_QUIT, NULL, LINE, sizeof(LINE) - 1);
    return false;
}

/* RSET comes before each MAIL but the first: servers call it nested after a refused DATA. Without
 * pipelining it would cost a round trip, so there only where something was refused. */
static bool
step_begin(struct transaction *transaction)
{
    static const char LINE[] = "RSET\r\n";
    struct job *job = current_job(transaction);
    struct reply reply;

    if (job == NULL)
        return step_quit(transaction);
    if (!may_speak(transaction))
        return false;
    job->smtputf8 = is_international(job);
    job->chosen = choose_content(job, &transaction->capabilities);
    if (refused_beforehand(job, &transaction->capabilities, &reply)) {
        tell_all(transaction, job, STAGE_MAIL, &reply);
        compose_next_job(transaction);
        return true;
    }
    transaction->step = STEP_MAIL;
    if (transaction->used &&
        (transaction->capabilities.pipelining || transaction->resets || !transaction->clean))
        say(transaction, COMMAND_RSET, job, LINE, sizeof(LINE) - 1);
    return true;
}

/* False where it is too late for JOB, which is told. */
static bool
may_begin(struct transaction *transaction, struct job *job)
{
    static const char WORDS[] = "it was too late to begin";
    struct reply late = {.length = sizeof(WORDS) - 1};
    const struct transaction_events *events = transaction->events;

    if (events->may_begin == NULL || events->may_begin(transaction->context, job))
        return true;
    memcpy(late.words, WORDS, sizeof(WORDS));
    tell_all(transaction, job, STAGE_UNTRIED, &late);
    return false;
}

static bool
step_mail(struct transaction *transaction)
{
    struct job *job = current_job(transaction);
    struct mail_parameters parameters = {.size = job->chosen->size,
        .eight_bit = job->chosen == &job->content && (job->eight_bit || job->declared_8bit),
        .smtputf8 = job->smtputf8,
        .return_part = job->return_part,
        .auth = job->auth,
        .by_mode = job->deliver_by == 0 ? '\0'
                   : job->returned_late ? 'R'
                                        : 'N',
        .by_trace = job->traced_late,
        .by_time = time_left(job),
        .envelope_id = job->envelope_id};
    char line[COMMAND_SIZE_MAX];
    size_t length;

    if (!may_speak(transaction))
        return false;
    if (!may_begin(transaction, job)) {
        compose_next_job(transaction);
        return true;
    }
    length = command_mail(line, job->sender, &parameters, &transaction->capabilities);
    if (length == 0) {
        for (size_t i = 0; i < job->recipient_count; i++)
            refuse_address(transaction, job, i);
        compose_next_job(transaction);
        return true;
    }
    job->begun = true;
    transaction->used = true;
    transaction->clean = false;
    transaction->step = STEP_RCPT;
    say(transaction, COMMAND_MAIL, job, line, length);
    return true;
}

static bool
step_rcpt(struct transaction *transaction)
{
    struct job *job = current_job(transaction);
    const struct recipient *recipient = &job->recipients[transaction->recipient];
    char line[COMMAND_SIZE_MAX];
    size_t length;

    if (transaction->recipient == job->recipient_count) {
        transaction->step = STEP_DATA;
        return true;
    }
    if (!may_speak(transaction))
        return false;
    if (recipient->state != RECIPIENT_TOLD) {
        length = command_rcpt(
            line, recipient->address, &recipient->parameters, &transaction->capabilities);
        if (length > 0)
            say(transaction, COMMAND_RCPT, job, line, length);
        else
            refuse_address(transaction, job, transaction->recipient);
    }
    transaction->recipient++;
    return true;
}

static bool
step_data(struct transaction *transaction)
{
    static const char LINE[] = "DATA\r\n";
    struct job *job = current_job(transaction);

    if (!may_speak(transaction))
        return false;
    if (job->told == job->recipient_count) {
        compose_next_job(transaction);
        return true;
    }
    say(transaction, COMMAND_DATA, job, LINE, sizeof(LINE) - 1);
    transaction->step = STEP_WAIT;
    return true;
}

static bool
step_wait(struct transaction *transaction)
{
    (void)transaction;
    return false;
}

void
compose_content(struct transaction *transaction, struct job *job)
{
    char line[64];
    bool lone = job->accepted == 0;

    /* Its reply cannot come before the dot is out: when that is, step_dot says. */
    await(transaction, lone ? COMMAND_LONE_DOT : COMMAND_CONTENT, job)->end = UINT64_MAX;
    transaction->step = lone ? STEP_DOT : STEP_CONTENT;
    if (lone)
        return;
    content_begin(&transaction->stream, job->chosen);
    text_format(line, sizeof(line), "(%" PRIu64 " octets of content)", job->chosen->size);
    spoken(transaction, job, line, strlen(line));
}

static bool
step_content(struct transaction *transaction)
{
    enum content_progress progress;
    size_t written;

    progress = content_copy(&transaction->stream, transaction->output + transaction->output_to,
        room(transaction), &written);
    transaction->output_to += written;
    transaction->composed += written;
    if (progress == CONTENT_FAILED)
        transaction_break(transaction, "the content could not be read");
    else if (progress == CONTENT_ENDED)
        transaction->step = STEP_DOT;
    return progress == CONTENT_ENDED;
}

static bool
step_dot(struct transaction *transaction)
{
    struct job *job = current_job(transaction);
    size_t last = transaction->first_awaited + transaction->awaited_count - 1;

    job->dotted = true;
    job->dot = transaction->composed;
    append(transaction, ".\r\n", 3);
    transaction->awaited[last % TRANSACTION_AWAITED_MAX].end = transaction->composed;
    spoken(transaction, job, ".", 1);
    compose_next_job(transaction);
    return true;
}

void
compose(struct transaction *transaction)
{
    static bool (*const STEPS[STEP_COUNT])(struct transaction *) = {
        [STEP_BEGIN] = step_begin,
        [STEP_MAIL] = step_mail,
        [STEP_RCPT] = step_rcpt,
        [STEP_DATA] = step_data,
        [STEP_WAIT] = step_wait,
        [STEP_CONTENT] = step_content,
        [STEP_DOT] = step_dot,
    };

    transaction->output_from = 0;
    transaction->output_to = 0;
    while (!transaction->over && !transaction->doomed && room(transaction) >= LEAST_ROOM &&
           STEPS[transaction->step](transaction))
        continue;
    finish_jobs(transaction);
}
