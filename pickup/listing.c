#include <stdlib.h>
#include <string.h>
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
#include "pickup/turns.h"

struct listing {
    struct turn turn;
    uint32_t states;
    uint32_t base; /* the one at work */
    enum mail_state place; /* in it */
    struct queue_scan *scan;
    char sid[256];
};

static uint64_t last_job;
static struct turns turns;

static void
end(struct turn *turn, const char *problem)
{
    struct listing *listing = (struct listing *)turn;

    service_send(service_peer(ROLE_CONTROL, 0),
        &(struct message){.type = MESSAGE_LIST_END,
            .list_end = {.request = listing->turn.request, .problem = problem}});
    if (listing->scan != NULL)
        queue_scan_close(listing->scan);
    turns_remove(&turns, turn);
    free(listing);
}

/* PROBLEM: why nobody can look into the file, or NULL. */
static void
send_found(struct listing *listing, const struct base *base, const struct mail_identity *identity,
    const struct mail_record *record, uint64_t hash, const char *problem)
{
    struct message message = {.type = MESSAGE_FOUND,
        .found = {.request = listing->turn.request,
            .alone = problem != NULL,
            .job = ++last_job | JOB_LISTING,
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
    listing->turn.room--;
    send_found(listing, base, &identity, &record, hash, problem_of(found));
    if (descriptor < 0)
        return;
    cleanups_parse(cleanups_last(), &(struct message_parse){.job = last_job | JOB_LISTING,
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
step(struct turn *turn)
{
    struct listing *listing = (struct listing *)turn;
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
    end(turn, "");
    return false;
}

/* Mails with strikes come first: both go to the last cleanup. */
static bool
may_step(void)
{
    return !suspects_wait() && cleanups_last_has_room();
}

static struct turns turns = {.step = step, .end = end, .may_step = may_step};

void
listing_pump(void)
{
    turns_pump(&turns);
}

void
listing_open(void)
{
    turns_open(&turns);
}

void
listing_handle(struct channel *from, const struct message *message)
{
    struct listing *listing = memory_new(1, sizeof(*listing));

    (void)from;
    listing->turn.request = message->list.request;
    listing->states = message->list.states;
    strlcpy(listing->sid, message->list.sid, sizeof(listing->sid));
    turns_add(&turns, &listing->turn);
    listing->place = (enum mail_state) - 1;
    if (!next_place(listing))
        end(&listing->turn, "");
    else
        listing_pump();
}

void
listing_handle_room(struct channel *from, const struct message *message)
{
    (void)from;
    turns_give_room(&turns, message->list_room.request, message->list_room.count);
}

void
listing_handle_cancel(struct channel *from, const struct message *message)
{
    (void)from;
    turns_cancel(&turns, message->list_cancel.request);
}

void
listing_cancel_all(void)
{
    turns_cancel_all(&turns);
}
