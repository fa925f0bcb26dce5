#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/job_number.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sealed.h"
#include "lib/service.h"
#include "lib/text.h"
#include "pickup/cleanups.h"
#include "queue/queue.h"
#include "sql/listing.h"
#include "sql/offer.h"
#include "sql/run.h"
#include "sql/session.h"
#include "sql/side.h"

/* Rows that are asked for at once. */
#define PAGE 128

struct listed {
    STAILQ_ENTRY(listed) next;
    struct row *row;
    enum mail_state state;
    int64_t next_try; /* ms */
    char *reason;
};

struct listing {
    STAILQ_ENTRY(listing) next;
    uint32_t request;
    uint32_t states;
    uint32_t room;
    char *last_key; /* of the last page; NULL: there was none */
    bool asking; /* a page is on its way */
    bool complete; /* it was the last one */
    bool cancelled;
    STAILQ_HEAD(, listed) rows;
};

static struct {
    STAILQ_HEAD(, listing) listings; /* the first is at work */
    struct event *soon;
    uint64_t last_job;
} all;

static void
free_listed(struct listed *listed)
{
    row_free(listed->row);
    free(listed->reason);
    free(listed);
}

static void
end(struct listing *listing, const char *problem)
{
    struct listed *listed;
    char words[256];

    strlcpy(words, problem, sizeof(words));
    if (!listing->cancelled)
        service_send(service_peer(ROLE_CONTROL, 0),
            &(struct message){.type = MESSAGE_LIST_END,
                .list_end = {.request = listing->request, .problem = words}});
    while ((listed = STAILQ_FIRST(&listing->rows)) != NULL) {
        STAILQ_REMOVE_HEAD(&listing->rows, next);
        free_listed(listed);
    }
    STAILQ_REMOVE(&all.listings, listing, listing, next);
    free(listing->last_key);
    free(listing);
    service_timer_start(all.soon, 0);
}

/* ---- pages ---- */

static enum mail_state
state_of(const char *status)
{
    static const struct {
        const char *status;
        enum mail_state state;
    } STATES[] = {{"", MAIL_WAITING}, {"d", MAIL_DEFERRED}, {"S", MAIL_SENT}, {"D", MAIL_DROPPED}};

    for (size_t i = 0; i < sizeof(STATES) / sizeof(STATES[0]); i++) {
        if (strcmp(STATES[i].status, status) == 0)
            return STATES[i].state;
    }
    return MAIL_HELD;
}

static void
take_row(struct listing *listing, const PGresult *result, int number)
{
    struct listed *listed = memory_new(1, sizeof(*listed));

    listed->row =
        row_make(result, number, (uint64_t)service_configuration()->settings.max_message_size);
    listed->state = state_of(PQgetvalue(result, number, LIST_STATE));
    listed->next_try = strtoll(PQgetvalue(result, number, LIST_NEXT_TRY), NULL, 10);
    listed->reason = memory_copy_text(PQgetvalue(result, number, LIST_REASON));
    STAILQ_INSERT_TAIL(&listing->rows, listed, next);
    free(listing->last_key);
    listing->last_key = memory_copy_text(listed->row->key);
}

static void
paged(void *context, const PGresult *result)
{
    struct listing *listing = context;
    char words[300];

    listing->asking = false;
    if (listing->cancelled) {
        end(listing, "");
        return;
    }
    if (!database_succeeded(result)) {
        if (result == NULL)
            strlcpy(words, side_problem(), sizeof(words));
        else
            database_words(result, words, sizeof(words));
        end(listing, words);
        return;
    }
    for (int i = 0; i < PQntuples(result); i++)
        take_row(listing, result, i);
    listing->complete = PQntuples(result) < PAGE;
    listing_pump();
}

static char *
list_states(uint32_t states)
{
    static const char *const STATUSES[] = {
        [MAIL_WAITING] = "", [MAIL_DEFERRED] = "d", [MAIL_SENT] = "S", [MAIL_DROPPED] = "D"};
    struct array array;

    array_open(&array);
    for (size_t i = 0; i < sizeof(STATUSES) / sizeof(STATUSES[0]); i++) {
        if (states & 1U << i)
            array_add(&array, STATUSES[i]);
    }
    return array_close(&array);
}

static void
ask_page(struct listing *listing)
{
    char count[24];
    char *states = list_states(listing->states);
    const char *parameters[] = {
        states, listing->last_key != NULL ? "true" : "false", listing->last_key, count};

    text_format(count, sizeof(count), "%d", PAGE);
    listing->asking = true;
    side_query(session_statement(STATEMENT_LIST), 4, parameters, paged, listing);
    free(states);
}

/* ---- telling ---- */

static void
tell(struct listing *listing, const struct listed *listed)
{
    const struct row *row = listed->row;
    int64_t seen = row->seen > 0 ? row->seen : clock_now_ms();
    uint64_t job = ++all.last_job | JOB_LISTING | job_finder(ROLE_SQL, service_instance());
    struct error error;
    char name[256];
    char reason[1001];
    int document = -1;

    if (row->document != NULL && row->problem[0] == '\0')
        document = sealed_create("row", row->document, row->size, &error);
    strlcpy(reason,
        row->problem[0] != '\0' && listed->reason[0] == '\0' ? row->problem : listed->reason,
        sizeof(reason));
    listing->room--;
    service_send(service_peer(ROLE_CONTROL, 0), &(struct message){.type = MESSAGE_FOUND,
                                                    .found = {.request = listing->request,
                                                        .alone = document < 0,
                                                        .job = job,
                                                        .queue = session_queue_number(),
                                                        .state = listed->state,
                                                        .attempts = row->attempts,
                                                        .hash = offer_hash(row->key),
                                                        .size = row->octets,
                                                        .mtime_ns = seen * 1000000,
                                                        .next_try = listed->next_try,
                                                        .name = row_name(row, name),
                                                        .error = reason}});
    if (document < 0)
        return;
    cleanups_parse(cleanups_last(), &(struct message_parse){.job = job,
                                        .purpose = PARSE_LIST,
                                        .hash = offer_hash(row->key),
                                        .mtime_ns = seen * 1000000,
                                        .file = document,
                                        .data = -1});
    close(document);
}

void
listing_pump(void)
{
    struct listing *listing = STAILQ_FIRST(&all.listings);
    struct listed *listed;

    if (listing == NULL || session_table() == NULL || !session_table()->is_ready)
        return;
    while (listing->room > 0 && cleanups_last_has_room() &&
           (listed = STAILQ_FIRST(&listing->rows)) != NULL) {
        STAILQ_REMOVE_HEAD(&listing->rows, next);
        tell(listing, listed);
        free_listed(listed);
    }
    if (!STAILQ_EMPTY(&listing->rows) || listing->asking)
        return;
    if (listing->complete)
        end(listing, "");
    else
        ask_page(listing);
}

static void
on_soon(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    listing_pump();
}

static struct listing *
find(uint32_t request)
{
    struct listing *listing;

    STAILQ_FOREACH(listing, &all.listings, next)
    {
        if (listing->request == request)
            return listing;
    }
    return NULL;
}

/* The table is known, or why it is not. */
static void
begin(void *context)
{
    struct listing *listing = find((uint32_t)(uintptr_t)context);

    if (listing == NULL)
        return;
    if (session_table() == NULL || !session_table()->is_ready)
        end(listing, session_problem());
    else
        listing_pump();
}

void
listing_handle(struct channel *from, const struct message *message)
{
    struct listing *listing = memory_new(1, sizeof(*listing));

    (void)from;
    listing->request = message->list.request;
    listing->states = message->list.states;
    STAILQ_INIT(&listing->rows);
    STAILQ_INSERT_TAIL(&all.listings, listing, next);
    if (run_names_base(message->list.sid))
        session_await(begin, (void *)(uintptr_t)listing->request);
    else
        end(listing, "");
}

void
listing_handle_room(struct channel *from, const struct message *message)
{
    struct listing *listing = find(message->list_room.request);

    (void)from;
    if (listing != NULL)
        listing->room += message->list_room.count;
    listing_pump();
}

/* A page that is on its way has it in its hand. */
static void
cancel(struct listing *listing)
{
    listing->cancelled = true;
    if (!listing->asking)
        end(listing, "");
}

void
listing_handle_cancel(struct channel *from, const struct message *message)
{
    struct listing *listing = find(message->list_cancel.request);

    (void)from;
    if (listing != NULL)
        cancel(listing);
}

void
listing_cancel_all(void)
{
    struct listing *listing;
    struct listing *after;

    for (listing = STAILQ_FIRST(&all.listings); listing != NULL; listing = after) {
        after = STAILQ_NEXT(listing, next);
        cancel(listing);
    }
}

void
listing_open(void)
{
    STAILQ_INIT(&all.listings);
    all.soon = service_timer(on_soon, NULL);
}
