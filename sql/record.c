#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "lib/text.h"
#include "queue/queue.h"
#include "sql/drain.h"
#include "sql/journal.h"
#include "sql/offer.h"
#include "sql/record.h"
#include "sql/session.h"

#define BATCH 512

/* As many as one JOURNALED has. */
#define JOURNALED_MOST 512

/* How long a row is left alone that could not be written. */
#define AGAIN_MS 5000

/* How the columns of STATEMENT_RECORD's answer are called. */
enum answer_column {
    ANSWER_NUMBER,
    ANSWER_FOUND,
    ANSWER_FITS,
    ANSWER_OLD,
    ANSWER_SAME,
    ANSWER_MINE
};

static struct {
    struct result_list pending;
    struct result_list sent; /* the batch that the database has */
    size_t count; /* of both */
    size_t read; /* of these, those that an earlier process left */
    struct event *soon;
    struct event *sync;
    bool is_refused; /* a problem is told of */
    uint64_t journaled[JOURNALED_MOST]; /* jobs that qmgr is to be told of */
    size_t journaled_count;
} records;

/* The states as the application sees them. */
static const char *const STATUSES[] = {[MAIL_WAITING] = "",
    [MAIL_DEFERRED] = "d",
    [MAIL_SENT] = "S",
    [MAIL_DROPPED] = "D",
    [MAIL_HELD] = ""};

bool
record_is_busy(void)
{
    return records.count > 0;
}

static bool
holds(const struct result_list *list, const char *key)
{
    const struct result *result;

    TAILQ_FOREACH(result, list, next)
    {
        if (result->job == 0 && strcmp(result->key, key) == 0)
            return true;
    }
    return false;
}

bool
record_knows(const char *key)
{
    return records.read > 0 && (holds(&records.pending, key) || holds(&records.sent, key));
}

void
record_add_keys(struct array *keys)
{
    const struct result *result;

    TAILQ_FOREACH(result, &records.pending, next)
    array_add(keys, result->key);
    TAILQ_FOREACH(result, &records.sent, next)
    array_add(keys, result->key);
}

static void
tell(uint64_t job, enum queue_result outcome)
{
    struct row *row = offer_find(job);

    if (row == NULL)
        return;
    row->recorded = true;
    service_send(service_peer(ROLE_QMGR, 0),
        &(struct message){.type = MESSAGE_RECORDED, .recorded = {.job = job, .result = outcome}});
}

/* ---- answers ---- */

static bool
is_true(const PGresult *answer, int row, enum answer_column column)
{
    return PQgetvalue(answer, row, (int)column)[0] == 't';
}

/* What the database says of one row. */
static enum queue_result
judge(const struct result *result, const PGresult *answer, int row)
{
    if (is_true(answer, row, ANSWER_FITS))
        return QUEUE_DONE;
    if (!is_true(answer, row, ANSWER_FOUND))
        return QUEUE_GONE;
    if (strcmp(PQgetvalue(answer, row, ANSWER_OLD), STATUSES[result->state]) == 0 &&
        result->state != MAIL_WAITING)
        return QUEUE_DONE;
    if (!is_true(answer, row, ANSWER_SAME))
        return QUEUE_REPLACED;
    if (!is_true(answer, row, ANSWER_MINE)) {
        if (!result->again)
            log_warn("%s: row %s: another host has it by now", result->id, result->key);
        return QUEUE_DONE;
    }
    log_info("%s: row %s: the application has made its status '%s' meanwhile", result->id,
        result->key, PQgetvalue(answer, row, ANSWER_OLD));
    return QUEUE_GONE;
}

static void
end_result(struct result *result, enum queue_result outcome)
{
    journal_settle(result);
    if (result->job != 0) {
        tell(result->job, outcome);
    } else {
        records.read--;
        log_info("%s: row %s: its status '%s' was in the journal, and is in the database now",
            result->id, result->key, STATUSES[result->state]);
    }
    records.count--;
    result_free(result);
}

static void
end_batch(const PGresult *answer)
{
    struct result *results[BATCH];
    size_t count = 0;
    struct result *result;

    while ((result = TAILQ_FIRST(&records.sent)) != NULL) {
        TAILQ_REMOVE(&records.sent, result, next);
        results[count++] = result;
    }
    for (int i = 0; i < PQntuples(answer); i++) {
        size_t number = strtoul(PQgetvalue(answer, i, ANSWER_NUMBER), NULL, 10) - 1;

        if (number >= count || results[number] == NULL)
            continue;
        end_result(results[number], judge(results[number], answer, i));
        results[number] = NULL;
    }
    if (records.is_refused)
        session_note_trouble("");
    records.is_refused = false;
}

/* The batch waits again, before all others. */
static void
take_back(bool alone, int64_t not_before)
{
    struct result *result;

    while ((result = TAILQ_LAST(&records.sent, result_list)) != NULL) {
        TAILQ_REMOVE(&records.sent, result, next);
        result->again = true;
        result->single = result->single || alone;
        result->not_before = not_before;
        if (not_before == 0)
            TAILQ_INSERT_HEAD(&records.pending, result, next);
        else
            TAILQ_INSERT_TAIL(&records.pending, result, next);
    }
}

/* Something in the batch is refused: each goes alone, and what is refused then waits. */
static void
refuse(const PGresult *answer)
{
    const struct result *first = TAILQ_FIRST(&records.sent);
    bool alone = TAILQ_NEXT(first, next) == NULL;
    char words[300];
    char whole[400];

    if (alone) {
        database_words(answer, words, sizeof(words));
        text_format(whole, sizeof(whole), "a row cannot be written: %s", words);
        log_error("%s: row %s: %s", first->id, first->key, words);
        session_note_trouble(whole);
        records.is_refused = true;
    }
    take_back(true, alone ? clock_monotonic_ms() + AGAIN_MS : 0);
}

/* Errors that are the whole database's: read-only, shutting down, no space, no memory. */
static bool
concerns_all(const PGresult *answer)
{
    static const char *const CLASSES[] = {"25", "53", "57", "58", "08", "XX"};
    const char *state = PQresultErrorField(answer, PG_DIAG_SQLSTATE);

    for (size_t i = 0; state != NULL && i < sizeof(CLASSES) / sizeof(CLASSES[0]); i++) {
        if (strncmp(state, CLASSES[i], 2) == 0)
            return true;
    }
    return state == NULL;
}

static void
answered(void *context, const PGresult *answer)
{
    (void)context;
    if (database_succeeded(answer) && PQntuples(answer) > 0) {
        end_batch(answer);
    } else if (database_succeeded(answer)) {
        take_back(false, 0);
        session_note_replaced();
    } else if (answer == NULL) {
        take_back(false, 0);
    } else if (concerns_all(answer)) {
        take_back(false, 0);
        session_note_failure("record what became of mails", answer);
    } else {
        refuse(answer);
    }
    record_pump();
    drain_check();
}

/* ---- batches ---- */

enum parameter {
    PARAMETER_KEY,
    PARAMETER_STATUS,
    PARAMETER_VERSION,
    PARAMETER_ATTEMPTS,
    PARAMETER_STRIKES,
    PARAMETER_RETRY_IN,
    PARAMETER_STAGE,
    PARAMETER_CODE,
    PARAMETER_REASON,
    PARAMETER_ID,
    PARAMETERS
};

static void
add_result(struct array arrays[PARAMETERS], const struct result *result)
{
    int64_t passed = clock_now_ms() - result->recorded_at;
    int64_t left = (int64_t)result->retry_in - (passed > 0 ? passed : 0);

    array_add(&arrays[PARAMETER_KEY], result->key);
    array_add(&arrays[PARAMETER_STATUS], STATUSES[result->state]);
    array_add(&arrays[PARAMETER_VERSION], result->version);
    array_add_number(&arrays[PARAMETER_ATTEMPTS], result->attempts);
    array_add_number(&arrays[PARAMETER_STRIKES], result->strikes);
    array_add_number(&arrays[PARAMETER_RETRY_IN], left > 0 ? left : 0);
    array_add(&arrays[PARAMETER_STAGE], result->stage);
    array_add_number(&arrays[PARAMETER_CODE], result->code);
    array_add(&arrays[PARAMETER_REASON], result->reason);
    array_add(&arrays[PARAMETER_ID], result->id);
}

static void
send_batch(void)
{
    struct array arrays[PARAMETERS];
    const char *parameters[PARAMETERS + 1] = {session_queue()->keep_sent > 0 ? "true" : "false"};
    char *texts[PARAMETERS];
    const struct result *result;

    for (size_t i = 0; i < PARAMETERS; i++)
        array_open(&arrays[i]);
    TAILQ_FOREACH(result, &records.sent, next)
    add_result(arrays, result);
    for (size_t i = 0; i < PARAMETERS; i++)
        parameters[i + 1] = texts[i] = array_close(&arrays[i]);
    session_query_own(STATEMENT_RECORD, PARAMETERS + 1, parameters, answered, NULL);
    for (size_t i = 0; i < PARAMETERS; i++)
        free(texts[i]);
}

/* The next results that may go together. */
static bool
choose_batch(void)
{
    int64_t now = clock_monotonic_ms();
    struct result *result;
    struct result *after;
    size_t count = 0;

    for (result = TAILQ_FIRST(&records.pending); result != NULL && count < BATCH; result = after) {
        bool alone = result->single;

        after = TAILQ_NEXT(result, next);
        if (result->not_before > now)
            continue;
        if (alone && count > 0)
            break;
        TAILQ_REMOVE(&records.pending, result, next);
        TAILQ_INSERT_TAIL(&records.sent, result, next);
        count++;
        if (alone)
            break;
    }
    return count > 0;
}

/* The next process finds them in the journal. */
static void
leave_to_journal(void)
{
    struct result *result;

    journal_sync();
    while ((result = TAILQ_FIRST(&records.pending)) != NULL) {
        TAILQ_REMOVE(&records.pending, result, next);
        records.count--;
        records.read -= result->job == 0;
        tell(result->job, QUEUE_DONE);
        result_free(result);
    }
}

void
record_pump(void)
{
    if (!TAILQ_EMPTY(&records.sent))
        return;
    if (!session_serves()) {
        if (drain_has_begun())
            leave_to_journal();
        return;
    }
    if (choose_batch())
        send_batch();
    else if (!TAILQ_EMPTY(&records.pending))
        service_timer_start(records.soon, AGAIN_MS / 5);
}

static void
tell_journaled(void)
{
    if (records.journaled_count == 0)
        return;
    service_send(service_peer(ROLE_QMGR, 0),
        &(struct message){.type = MESSAGE_JOURNALED,
            .journaled.jobs = {
                records.journaled, records.journaled_count * sizeof(records.journaled[0])}});
    records.journaled_count = 0;
}

static void
on_soon(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    tell_journaled();
    record_pump();
}

/* The database has not confirmed within the interval: the disk has to. */
static void
on_sync(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    if (journal_needs_sync())
        journal_sync();
}

/* The server's words may be any octets. */
static char *
clean_text(const char *text)
{
    char clean[4096];

    return memory_copy_text(text_escape(clean, sizeof(clean), text));
}

void
record_handle(struct channel *from, const struct message *message)
{
    const struct message_record *record = &message->record;
    const struct row *row = offer_find(record->job);
    struct result *result;

    (void)from;
    if (row == NULL || row->recorded || record->state > MAIL_DROPPED) {
        log_error("qmgr records job %" PRIu64 ", which it does not have", record->job);
        return;
    }
    result = memory_new(1, sizeof(*result));
    *result = (struct result){.job = record->job,
        .recorded_at = clock_now_ms(),
        .state = record->state,
        .attempts = record->attempts,
        .strikes = record->strikes,
        .code = record->code,
        .retry_in = record->retry_in};
    strlcpy(result->version, row->version, sizeof(result->version));
    result->key = memory_copy_text(row->key);
    result->stage = memory_copy_text(record->stage);
    result->reason = clean_text(record->reason);
    result->id = memory_copy_text(record->id);
    journal_append(result);
    TAILQ_INSERT_TAIL(&records.pending, result, next);
    records.count++;
    records.journaled[records.journaled_count++] = result->job;
    if (records.journaled_count == JOURNALED_MOST)
        tell_journaled();
    if (!evtimer_pending(records.sync, NULL))
        service_timer_start(records.sync, service_configuration()->settings.commit_interval);
    service_timer_start(records.soon, 0);
}

void
record_open(void)
{
    const struct result *result;

    TAILQ_INIT(&records.pending);
    TAILQ_INIT(&records.sent);
    records.soon = service_timer(on_soon, NULL);
    records.sync = service_timer(on_sync, NULL);
    journal_read(&records.pending);
    TAILQ_FOREACH(result, &records.pending, next)
    records.count++;
    records.read = records.count;
}
