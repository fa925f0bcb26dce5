#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/job_number.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "pickup/bases.h"
#include "pickup/cleanups.h"
#include "pickup/listing.h"
#include "pickup/run.h"
#include "pickup/suspects.h"

/* Mails listed before other events get their turn. */
#define BURST 64

struct listing {
    STAILQ_ENTRY(listing) next;
    uint32_t request;
    uint32_t states;
    uint32_t room;
    uint32_t base; /* the one at work */
    enum mail_state place; /* in it */
    struct queue_scan *scan;
    char sid[256];
};

static struct {
    STAILQ_HEAD(, listing) waiting; /* they take turns */
    struct event *soon;
    uint64_t last_job;
} listings;

static void
end(struct listing *listing, const char *problem)
{
    service_send(service_peer(ROLE_CONTROL, 0),
        &(struct message){.type = MESSAGE_LIST_END,
            .list_end = {.request = listing->request, .problem = problem}});
    if (listing->scan != NULL)
        queue_scan_close(listing->scan);
    STAILQ_REMOVE(&listings.waiting, listing, listing, next);
    free(listing);
}

/* PROBLEM: why nobody can look into the file, or NULL. */
static void
send_found(struct listing *listing, const struct base *base, const struct mail_identity *identity,
    const struct mail_record *record, uint64_t hash, const char *problem)
{
    struct message message = {.type = MESSAGE_FOUND,
        .found = {.request = listing->request,
            .alone = problem != NULL,
            .job = ++listings.last_job | JOB_LISTING,
            .queue = base->number,
            .state = identity->place,
            .attempts = record->attempts,
            .hash = hash,
            .size = identity->size,
            .mtime_ns = identity->mtime_ns,
            .next_try = record->next_try,
            .name = identity->name}};
    char reason[1001];

    strlcpy(reason, problem != NULL ? problem : record->reason, sizeof(reason));
    message.found.error = reason;
    service_send(service_peer(ROLE_CONTROL, 0), &message);
}

static const char *
problem_of(enum queue_found found)
{
    if (found == QUEUE_FOUND_TOO_LARGE)
        return "the file is larger than max_message_size";
    return found == QUEUE_FOUND_OTHER ? "not a regular file" : NULL;
}

/* One mail of the listing. */
static void
list_mail(struct listing *listing, struct base *base, const char *name)
{
    struct mail_identity identity;
    struct mail_record record;
    struct error error;
    enum queue_found found;
    int descriptor = -1;
    uint64_t hash;

    found = queue_mail_find(base->queue, listing->place, name, &identity, &descriptor, &error);
    if (found == QUEUE_FOUND_GONE || found == QUEUE_FOUND_FAILED)
        return;
    hash = queue_mail_hash(base->queue, &identity);
    if (!queue_mail_record(base->queue, &identity, clock_now_ms(), &record) &&
        identity.place != MAIL_DEFERRED)
        memset(&record, 0, sizeof(record));
    listing->room--;
    send_found(listing, base, &identity, &record, hash, problem_of(found));
    if (descriptor < 0)
        return;
    cleanups_parse(cleanups_last(), &(struct message_parse){.job = listings.last_job | JOB_LISTING,
                                        .purpose = PARSE_LIST,
                                        .mqueue = bases_mqueue(base),
                                        .hash = hash,
                                        .mtime_ns = identity.mtime_ns,
                                        .file = descriptor,
                                        .data = -1});
    close(descriptor);
}

/* Goes on to the next place that the listing asks for; false at the end of all. */
static bool
next_place(struct listing *listing)
{
    listing->place++;
    while (bases_get(listing->base) != NULL) {
        const struct base *base = bases_get(listing->base);

        if (base->queue != NULL && run_names_base(listing->sid, base)) {
            for (; listing->place < MAIL_STATE_COUNT; listing->place++) {
                if (listing->states & 1U << listing->place)
                    return true;
            }
        }
        listing->base++;
        listing->place = MAIL_WAITING;
    }
    return false;
}

/* False where the listing is over. */
static bool
step(struct listing *listing)
{
    struct base *base = bases_get(listing->base);
    char name[QUEUE_NAME_SIZE];
    struct error error;

    if (listing->scan == NULL)
        listing->scan = queue_scan_open(base->queue, listing->place, &error);
    if (listing->scan != NULL && queue_scan_next(listing->scan, name, &error)) {
        list_mail(listing, base, name);
        return true;
    }
    if (listing->scan != NULL)
        queue_scan_close(listing->scan);
    listing->scan = NULL;
    if (next_place(listing))
        return true;
    end(listing, "");
    return false;
}

/* The first listing that has room goes on; then it is the others' turn. */
static bool
step_one(void)
{
    struct listing *listing;

    STAILQ_FOREACH(listing, &listings.waiting, next)
    {
        if (listing->room == 0)
            continue;
        if (step(listing)) {
            STAILQ_REMOVE(&listings.waiting, listing, listing, next);
            STAILQ_INSERT_TAIL(&listings.waiting, listing, next);
        }
        return true;
    }
    return false;
}

void
listing_pump(void)
{
    bool more = true;

    for (int i = 0; i < BURST && more; i++)
        more = !suspects_wait() && cleanups_last_has_room() && step_one();
    if (more)
        service_timer_start(listings.soon, 0);
}

static void
on_soon(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    listing_pump();
}

void
listing_open(void)
{
    STAILQ_INIT(&listings.waiting);
    listings.soon = service_timer(on_soon, NULL);
}

void
listing_handle(struct channel *from, const struct message *message)
{
    struct listing *listing = memory_new(1, sizeof(*listing));

    (void)from;
    listing->request = message->list.request;
    listing->states = message->list.states;
    strlcpy(listing->sid, message->list.sid, sizeof(listing->sid));
    STAILQ_INSERT_TAIL(&listings.waiting, listing, next);
    listing->place = (enum mail_state) - 1;
    if (!next_place(listing))
        end(listing, "");
    else
        listing_pump();
}

static struct listing *
find(uint32_t request)
{
    struct listing *listing;

    STAILQ_FOREACH(listing, &listings.waiting, next)
    {
        if (listing->request == request)
            return listing;
    }
    return NULL;
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

void
listing_handle_cancel(struct channel *from, const struct message *message)
{
    struct listing *listing = find(message->list_cancel.request);

    (void)from;
    if (listing != NULL)
        end(listing, "");
}

void
listing_cancel_all(void)
{
    while (!STAILQ_EMPTY(&listings.waiting))
        end(STAILQ_FIRST(&listings.waiting), "");
}
