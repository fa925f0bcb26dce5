#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/job_number.h"
#include "lib/log.h"
#include "lib/mail_id.h"
#include "lib/memory.h"
#include "lib/sealed.h"
#include "lib/service.h"
#include "lib/text.h"
#include "pickup/cleanups.h"
#include "queue/queue.h"
#include "sql/claim.h"
#include "sql/drain.h"
#include "sql/offer.h"
#include "sql/release.h"
#include "sql/run.h"
#include "sql/session.h"

/* Mails offered before other events get their turn. */
#define BURST 64

/* A mail in qmgr's hand: its number is its place here, and above that how often it was used. */
struct job {
    uint32_t use;
    struct row *row; /* NULL: free */
};

static struct {
    struct job *jobs;
    uint32_t job_room;
    uint32_t *free_jobs;
    uint32_t free_count;
    size_t count;
    uint32_t room; /* at qmgr */
    struct row *fetching; /* it is too large to be claimed with others */
    struct row_list suspects; /* with strikes: each is parsed alone */
    struct row_list held; /* not to be offered again in this run, or in testing */
    struct event *soon;
    bool stopped;
} offers;

static uint64_t
most_octets(void)
{
    return (uint64_t)service_configuration()->settings.max_message_size;
}

uint64_t
offer_hash(const char *key)
{
    return mail_id_hash(session_queue()->section, session_queue()->sid, key, 0);
}

/* ---- jobs ---- */

static uint64_t
add_job(struct row *row)
{
    uint32_t place;

    if (offers.free_count == 0) {
        uint32_t larger = offers.job_room == 0 ? 256 : offers.job_room * 2;

        offers.jobs = memory_resize(offers.jobs, larger, sizeof(*offers.jobs));
        offers.free_jobs = memory_resize(offers.free_jobs, larger, sizeof(*offers.free_jobs));
        memset(offers.jobs + offers.job_room, 0, (larger - offers.job_room) * sizeof(*offers.jobs));
        for (uint32_t i = larger; i > offers.job_room; i--)
            offers.free_jobs[offers.free_count++] = i - 1;
        offers.job_room = larger;
    }
    place = offers.free_jobs[--offers.free_count];
    offers.jobs[place].row = row;
    offers.jobs[place].use = (offers.jobs[place].use + 1) & 0x00FFFFFFU;
    offers.count++;
    row->job =
        job_finder(ROLE_SQL, service_instance()) | (uint64_t)offers.jobs[place].use << 32 | place;
    return row->job;
}

struct row *
offer_find(uint64_t job)
{
    uint32_t place = (uint32_t)job;

    if (place >= offers.job_room || offers.jobs[place].row == NULL ||
        offers.jobs[place].row->job != job)
        return NULL;
    return offers.jobs[place].row;
}

static void
remove_job(const struct row *row)
{
    uint32_t place = (uint32_t)row->job;

    offers.jobs[place].row = NULL;
    offers.free_jobs[offers.free_count++] = place;
    offers.count--;
}

size_t
offer_count(void)
{
    return offers.count;
}

bool
offer_has_lost(const char *key)
{
    for (uint32_t i = 0; session_era() > 0 && i < offers.job_room; i++) {
        const struct row *row = offers.jobs[i].row;

        if (row != NULL && row->era != session_era() && strcmp(row->key, key) == 0)
            return true;
    }
    return false;
}

void
offer_add_keys(struct array *keys)
{
    const struct row *row;

    for (uint32_t i = 0; i < offers.job_room; i++) {
        if (offers.jobs[i].row != NULL)
            array_add(keys, offers.jobs[i].row->key);
    }
    if (offers.fetching != NULL)
        array_add(keys, offers.fetching->key);
    TAILQ_FOREACH(row, &offers.suspects, next)
    array_add(keys, row->key);
    TAILQ_FOREACH(row, &offers.held, next)
    array_add(keys, row->key);
}

/* ---- offering ---- */

static void
send_offer(const struct row *row, uint32_t instance)
{
    char name[256];

    service_send(
        service_peer(ROLE_QMGR, 0), &(struct message){.type = MESSAGE_OFFER,
                                        .offer = {.job = row->job,
                                            .queue = session_queue_number(),
                                            .cleanup = instance,
                                            .incarnation = cleanups_incarnation(instance),
                                            .state = row->deferred ? MAIL_DEFERRED : MAIL_WAITING,
                                            .strikes = row->strikes,
                                            .run = run_number(),
                                            .hash = offer_hash(row->key),
                                            .name = row_name(row, name),
                                            .size = row->size,
                                            .mtime_ns = row->seen * 1000000,
                                            .attempts = row->attempts,
                                            .problem = row->problem}});
}

static void
offer_row(struct row *row, uint32_t instance)
{
    struct error error;
    int document = -1;

    if (row->problem[0] == '\0') {
        document = sealed_create("row", row->document, row->size, &error);
        if (document < 0) {
            log_error("a row's document: %s", error.text);
            release_row(row, 1000);
            return;
        }
    }
    add_job(row);
    offers.room--;
    send_offer(row, instance);
    if (document >= 0) {
        cleanups_parse(instance, &(struct message_parse){.job = row->job,
                                     .purpose = PARSE_DELIVER,
                                     .hash = offer_hash(row->key),
                                     .mtime_ns = row->seen * 1000000,
                                     .file = document,
                                     .data = -1});
        close(document);
    }
    free(row->document);
    row->document = NULL;
}

static void
fetched(void *context, const PGresult *result)
{
    struct row *row = offers.fetching;

    (void)context;
    offers.fetching = NULL;
    if (result == NULL) {
        row_free(row);
        return;
    }
    if (!database_succeeded(result) || PQntuples(result) == 0) {
        release_row(row, database_succeeded(result) ? 0 : 60000);
    } else {
        row_complete(row, result, most_octets());
        claim_put_back(row);
    }
    offer_pump();
}

static void
fetch(struct row *row)
{
    char most[24];
    const char *parameters[] = {row->key, most};

    text_format(most, sizeof(most), "%" PRIu64, most_octets());
    offers.fetching = row;
    session_query(STATEMENT_FETCH, 2, parameters, fetched, NULL);
}

/* One mail with strikes, when its cleanup has nothing else in hand. */
static void
offer_suspect(void)
{
    struct row *row = TAILQ_FIRST(&offers.suspects);

    if (row == NULL || offers.room == 0 || !cleanups_last_is_idle())
        return;
    TAILQ_REMOVE(&offers.suspects, row, next);
    offer_row(row, cleanups_last());
}

/* False where nothing more can be offered now. */
static bool
offer_one(uint32_t instance)
{
    struct row *row = claim_next();

    if (row == NULL)
        return false;
    if (row->document == NULL && row->problem[0] == '\0') {
        if (offers.fetching != NULL) {
            claim_put_back(row);
            return false;
        }
        fetch(row);
    } else if (row->strikes > 0) {
        TAILQ_INSERT_TAIL(&offers.suspects, row, next);
        offer_suspect();
    } else {
        offer_row(row, instance);
    }
    return true;
}

bool
offer_is_idle(void)
{
    return offers.fetching == NULL && TAILQ_EMPTY(&offers.suspects);
}

bool
offer_waits_for_cleanup(void)
{
    uint32_t instance;

    return claim_count() > 0 && !cleanups_choose(&instance);
}

void
offer_pump(void)
{
    struct channel *qmgr = service_peer(ROLE_QMGR, 0);
    uint32_t instance;
    int left = BURST;

    if (offers.stopped || qmgr == NULL || !session_serves())
        return;
    offer_suspect();
    while (
        left-- > 0 && offers.room > 0 && channel_backlog(qmgr) == 0 && cleanups_choose(&instance)) {
        if (!offer_one(instance))
            break;
    }
    claim_pump();
    if (offers.room > 0 && claim_count() > 0 && offers.fetching == NULL &&
        cleanups_choose(&instance))
        service_timer_start(offers.soon, channel_backlog(qmgr) == 0 ? 0 : 1);
    run_check();
}

static void
on_soon(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    offer_pump();
}

/* ---- what becomes of them ---- */

static void
release_list(struct row_list *rows)
{
    struct row *row;

    while ((row = TAILQ_FIRST(rows)) != NULL) {
        TAILQ_REMOVE(rows, row, next);
        release_row(row, 0);
    }
}

void
offer_release_held(void)
{
    release_list(&offers.held);
}

void
offer_stop(void)
{
    offers.stopped = true;
    release_list(&offers.suspects);
    release_list(&offers.held);
}

void
offer_forget(void)
{
    struct row *row;

    while ((row = TAILQ_FIRST(&offers.suspects)) != NULL) {
        TAILQ_REMOVE(&offers.suspects, row, next);
        row_free(row);
    }
}

/* A job that left qmgr's hands without a record: what is to be done with its row. */
static void
return_row(struct row *row, const struct message_finished *finished)
{
    int64_t later;

    switch ((enum job_end)finished->end) {
    case JOB_LATER:
        later = finished->next_try - clock_now_ms();
        release_row(row, later > 0 ? later : 1);
        break;
    case JOB_SKIPPED:
    case JOB_SENT: /* in testing these stay as they were */
    case JOB_DEFERRED:
    case JOB_DROPPED:
        if (offers.stopped)
            release_row(row, 0);
        else
            TAILQ_INSERT_TAIL(&offers.held, row, next);
        break;
    default:
        release_row(row, 0);
        break;
    }
}

void
offer_handle_finished(struct channel *from, const struct message *message)
{
    struct row *row = offer_find(message->finished.job);
    enum job_end end = (enum job_end)message->finished.end;

    (void)from;
    if (row == NULL) {
        log_error("qmgr finished job %" PRIu64 ", which it was not offered", message->finished.job);
        return;
    }
    remove_job(row);
    if (row->recorded)
        row_free(row);
    else
        return_row(row, &message->finished);
    if (end == JOB_STRUCK || end == JOB_GONE)
        claim_wake();
    if (end == JOB_DEFERRED && message->finished.next_try < INT64_MAX)
        claim_expect(message->finished.next_try - clock_now_ms() + 1);
    if (end != JOB_STRUCK && end != JOB_AGAIN)
        run_note_end(end);
    service_worked();
    offer_pump();
    drain_check();
}

void
offer_handle_parked(struct channel *from, const struct message *message)
{
    struct row *row = offer_find(message->parked.job);

    (void)from;
    if (row == NULL)
        return;
    claim_park(row->sender, message->parked.account, message->parked.held != 0);
    remove_job(row);
    release_row(row, 0);
    drain_check();
}

void
offer_handle_wanted(struct channel *from, const struct message *message)
{
    uint32_t account = message->wanted.account;

    if (message->wanted.count == 0) {
        claim_hold(account);
        run_check();
        return;
    }
    service_send(from, &(struct message){.type = MESSAGE_UNPARKED,
                           .unparked = {.queue = session_queue_number(),
                               .account = account,
                               .count = claim_want(account)}});
}

void
offer_handle_room(struct channel *from, const struct message *message)
{
    (void)from;
    offers.room += message->room.count;
    offer_pump();
}

void
offer_open(void)
{
    TAILQ_INIT(&offers.suspects);
    TAILQ_INIT(&offers.held);
    offers.soon = service_timer(on_soon, NULL);
}
