#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include <bsd/string.h>

#include "control/base.h"
#include "control/finder.h"
#include "control/join.h"
#include "control/kinds.h"
#include "lib/log.h"
#include "lib/mail_id.h"
#include "lib/service.h"
#include "lib/text.h"
#include "queue/queue.h"

/* Entries of one listing in flight at once, and how many are granted in one message. */
#define WINDOW 256
#define BATCH 64

/* Lines that a slow client makes this process keep, before pickup gets no room any more. */
#define BACKLOG_MAX 256
#define BACKLOG_CHECK_MS 5

/* How long an entry's second half may take; longer than cleanup may take for a file. */
#define HALF_LIFE_MS 120000
#define EXPIRY_CHECK_MS 5000

/* Halves that were on their way when a cleanup process died are there by then. */
#define DEATH_CHECK_MS 100
#define DEATH_MARGIN_MS 5

struct listing {
    struct request request;
    char sender[321]; /* "": all */
    char sid[256];
    uint32_t states;
    uint32_t finder; /* the one that is asked; one after the other */
    bool is_named; /* lines need not name their base */
    uint32_t granted; /* pickup may still send so many */
    uint32_t incomplete; /* FOUND whose LISTED is awaited */
    bool ended; /* pickup has no more */
    char problem[256];
};

static struct {
    struct join *join;
    struct event *expiry;
    struct event *death;
    int64_t died_at;
    char died_of[300];
} listings;

static struct listing *
find_listing(uint32_t number)
{
    return (struct listing *)request_find(number, &LISTING_KIND);
}

static void
end_listing(struct listing *listing)
{
    if (listing->problem[0] != '\0')
        request_answer(&listing->request, EX_UNAVAILABLE, "%s", listing->problem);
    else
        request_answer(&listing->request, EX_OK, "%s", "");
}

/* Asks the finder whose turn it is. */
static void
ask_finder(struct listing *listing)
{
    listing->ended = false;
    listing->granted = WINDOW;
    service_send(finder_channel(listing->finder),
        &(struct message){MESSAGE_LIST, .list = {.request = listing->request.number,
                                            .states = listing->states,
                                            .sid = listing->sid}});
    service_send(finder_channel(listing->finder),
        &(struct message){
            MESSAGE_LIST_ROOM, .list_room = {.request = listing->request.number, .count = WINDOW}});
}

/* False where that was the last finder. */
static bool
ask_next(struct listing *listing)
{
    if (++listing->finder == finder_count())
        return false;
    ask_finder(listing);
    return true;
}

/* After something changed: more room for pickup, or the end. May free LISTING. */
static void
advance(struct listing *listing)
{
    uint32_t in_flight = listing->granted + listing->incomplete;

    if (listing->ended) {
        if (listing->incomplete == 0 && !ask_next(listing))
            end_listing(listing);
        return;
    }
    if (in_flight > WINDOW - BATCH)
        return;
    if (channel_backlog(listing->request.client) > BACKLOG_MAX) {
        service_timer_start(listing->request.timer, BACKLOG_CHECK_MS);
        return;
    }
    listing->granted += WINDOW - in_flight;
    service_send(finder_channel(listing->finder),
        &(struct message){MESSAGE_LIST_ROOM,
            .list_room = {.request = listing->request.number, .count = WINDOW - in_flight}});
}

static void
begin_listing(struct request *request, const struct message *message)
{
    struct listing *listing = (struct listing *)request;
    const struct message_ask_queue *asked = &message->ask_queue;
    struct error error;

    if (!base_check(asked->sid, &error)) {
        request_answer(request, EX_USAGE, "%s", error.text);
        return;
    }
    if (!finder_all_are_there()) {
        request_answer(request, EX_TEMPFAIL, "not all programs are there now: try again");
        return;
    }
    listing->states = asked->states;
    strlcpy(listing->sid, asked->sid, sizeof(listing->sid));
    strlcpy(listing->sender, asked->sender, sizeof(listing->sender));
    listing->is_named = asked->sid[0] != '\0' || base_count() < 2;
    ask_finder(listing);
}

static void
cancel_listing(struct request *request)
{
    service_send(finder_channel(((struct listing *)request)->finder),
        &(struct message){MESSAGE_LIST_CANCEL, .list_cancel = {.request = request->number}});
}

static void
check_backlog(struct request *request)
{
    advance((struct listing *)request);
}

const struct request_kind LISTING_KIND = {
    .asked = MESSAGE_ASK_QUEUE,
    .size = sizeof(struct listing),
    .begin = begin_listing,
    .cancel = cancel_listing,
    .timed = check_backlog,
};

/* The line of one mail. */
static void
show(const struct listing *listing, const struct message_found *found,
    const struct message_listed *listed)
{
    const struct queue_settings *queue = base_find(found->queue);
    char id[MAIL_ID_SIZE];
    struct message entry = {
        MESSAGE_ENTRY, .entry = {.state = found->state,
                           .attempts = found->attempts,
                           .size = found->size,
                           .mtime_ns = found->mtime_ns,
                           .time = listed->time,
                           .next_try = found->state == MAIL_DEFERRED ? found->next_try : 0,
                           .id = id,
                           .file = found->name,
                           .sender = listed->sender,
                           .recipients = listed->recipients,
                           .subject = listed->subject}};

    if (queue == NULL)
        return;
    if (listing->sender[0] != '\0' && strcasecmp(listing->sender, listed->sender) != 0)
        return;
    mail_id_format(id, sizeof(id), (time_t)listed->time, found->hash);
    entry.entry.base = listing->is_named ? "" : base_name(found->queue);
    entry.entry.section = queue->section;
    entry.entry.sid = queue->sid;
    entry.entry.error = found->error[0] != '\0' ? found->error : listed->reason;
    request_tell(&listing->request, &entry);
}

/* The line of a mail of which only its file is known. */
static void
show_alone(const struct listing *listing, const struct message_found *found, const char *reason)
{
    struct message_listed nothing = {
        .time = found->mtime_ns / 1000000000, .sender = "", .subject = "", .reason = reason};

    show(listing, found, &nothing);
}

static void
on_matched(const struct message_found *found, const struct message_listed *listed)
{
    struct listing *listing = find_listing(found->request);

    if (listing == NULL)
        return;
    if (listing->incomplete > 0)
        listing->incomplete--;
    show(listing, found, listed);
    advance(listing);
}

static void
on_lost(const struct message_found *found, const char *reason)
{
    struct listing *listing = find_listing(found->request);

    if (listing == NULL)
        return;
    listing->incomplete--;
    show_alone(listing, found, reason);
    advance(listing);
}

static void
join_half(const struct message *message)
{
    if (join_count(listings.join) == 0)
        service_timer_start(listings.expiry, EXPIRY_CHECK_MS);
    join_add(listings.join, message, request_clock(), on_matched);
}

void
listing_found(struct channel *from, const struct message *message)
{
    struct listing *listing = find_listing(message->found.request);

    (void)from;
    if (listing != NULL && listing->granted > 0)
        listing->granted--;
    if (message->found.alone == 0) {
        if (listing != NULL)
            listing->incomplete++;
        join_half(message);
    } else if (listing != NULL) {
        show_alone(listing, &message->found, "");
        advance(listing);
    }
}

void
listing_listed(struct channel *from, const struct message *message)
{
    (void)from;
    join_half(message);
}

void
listing_ended(struct channel *from, const struct message *message)
{
    struct listing *listing = find_listing(message->list_end.request);

    (void)from;
    if (listing == NULL)
        return;
    listing->ended = true;
    if (listing->problem[0] == '\0')
        strlcpy(listing->problem, message->list_end.problem, sizeof(listing->problem));
    advance(listing);
}

static void
on_expiry(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    join_expire(listings.join, request_clock() - HALF_LIFE_MS, on_lost,
        "smailer-cleanup did not say what it is");
    if (join_count(listings.join) > 0)
        service_timer_start(listings.expiry, EXPIRY_CHECK_MS);
}

static void
on_death(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    join_expire(listings.join, listings.died_at + DEATH_MARGIN_MS, on_lost, listings.died_of);
}

void
listing_lost(const char *reason)
{
    listings.died_at = request_clock();
    text_format(listings.died_of, sizeof(listings.died_of),
        "smailer-cleanup ended with it in hand: %s", reason);
    service_timer_start(listings.death, DEATH_CHECK_MS);
}

void
listing_start(void)
{
    listings.join = join_new();
    listings.expiry = service_timer(on_expiry, NULL);
    listings.death = service_timer(on_death, NULL);
}
