#include "pickup/status.h"
#include "lib/service.h"
#include "pickup/bases.h"

/* One request is answered at a time, a base at a time; one that comes meanwhile is answered after
 * it. */
static struct {
    uint32_t request;
    uint32_t next_request; /* 0: none */
    uint32_t base;
    struct event *soon;
} status;

/* In an mqueue the name does not say where a mail is. */
static bool
is_there(struct base *base, enum mail_state place, const char *name)
{
    struct mail_identity identity;

    return bases_mqueue(base) == 0 ||
           queue_mail_find(base->queue, place, name, &identity, NULL, NULL) != QUEUE_FOUND_GONE;
}

static uint64_t
count(struct base *base, enum mail_state place)
{
    struct error error;
    struct queue_scan *scan = queue_scan_open(base->queue, place, &error);
    char name[QUEUE_NAME_SIZE];
    uint64_t names = 0;

    if (scan == NULL)
        return 0;
    while (queue_scan_next(scan, name, &error))
        names += is_there(base, place, name);
    queue_scan_close(scan);
    return names;
}

static void
tell(struct base *base)
{
    const struct queue_settings *settings = &service_configuration()->queues[base->number];
    struct message message = {.type = MESSAGE_STATUS_QUEUE,
        .status_queue = {.request = status.request,
            .queue = base->number,
            .in_hand = base->in_hand,
            .parked = base->parked,
            .problem = base->problem[0] != '\0' ? base->problem : base->alone,
            .section = settings->section,
            .sid = settings->sid}};

    if (settings->kind == SECTION_SQL)
        return;
    if (base->queue != NULL) {
        message.status_queue.waiting = count(base, MAIL_WAITING);
        message.status_queue.deferred = count(base, MAIL_DEFERRED);
        message.status_queue.sent = count(base, MAIL_SENT);
        message.status_queue.dropped = count(base, MAIL_DROPPED);
    }
    service_send(service_peer(ROLE_CONTROL, 0), &message);
}

static void
on_soon(evutil_socket_t descriptor, short what, void *context)
{
    struct base *base = bases_get(status.base);

    (void)descriptor;
    (void)what;
    (void)context;
    if (base != NULL) {
        tell(base);
        status.base++;
        service_timer_start(status.soon, 0);
        return;
    }
    service_send(service_peer(ROLE_CONTROL, 0),
        &(struct message){.type = MESSAGE_STATUS_END, .status_end = {.request = status.request}});
    status.request = status.next_request;
    status.next_request = 0;
    status.base = 0;
    if (status.request != 0)
        service_timer_start(status.soon, 0);
}

void
status_open(void)
{
    status.soon = service_timer(on_soon, NULL);
}

void
status_handle(struct channel *from, const struct message *message)
{
    (void)from;
    if (status.request != 0) {
        status.next_request = message->status.request;
        return;
    }
    status.request = message->status.request;
    status.base = 0;
    service_timer_start(status.soon, 0);
}
