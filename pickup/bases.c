#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sysexits.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "pickup/bases.h"
#include "pickup/offer.h"

/* Reads of inotify in one go: more than its queue holds by default (16,384 changes). */
#define CHANGES_READS 512

#define WATCHED (IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW)

static struct {
    struct base *bases;
    uint32_t count;
    int inotify; /* -1: the kernel gives none, the scans have to do */
    struct event *changes;
    struct event *scan;
    struct event *wakeup;
} all;

struct base *
bases_get(uint32_t number)
{
    return number < all.count ? &all.bases[number] : NULL;
}

uint32_t
bases_mqueue(const struct base *base)
{
    const struct configuration *configuration = service_configuration();

    return configuration->queues[base->number].kind == SECTION_MQUEUE ? base->number + 1 : 0;
}

void
bases_open(void)
{
    const struct configuration *configuration = service_configuration();

    all.count = (uint32_t)configuration->queue_count;
    all.bases = memory_new(all.count, sizeof(*all.bases));
    for (uint32_t i = 0; i < all.count; i++) {
        all.bases[i].number = i;
        all.bases[i].watch = -1;
    }
    all.inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (all.inotify < 0)
        log_warn("no inotify (%s): new mails are noticed by the scan only", strerror(errno));
}

static void
watch(struct base *base)
{
    if (all.inotify < 0)
        return;
    base->watch = inotify_add_watch(all.inotify, queue_path(base->queue), WATCHED);
    if (base->watch < 0)
        log_warn("%s: cannot be watched (%s): new mails are noticed by the scan only",
            queue_path(base->queue), strerror(errno));
}

static void
open_queue(struct base *base)
{
    const struct configuration *configuration = service_configuration();
    const struct queue_settings *settings = &configuration->queues[base->number];
    struct queue_options options = {
        .section = settings->section,
        .sid = settings->sid,
        .directory = AT_FDCWD,
        .path = settings->path,
        .pattern = settings->pattern,
        .max_message_size = (uint64_t)configuration->settings.max_message_size,
        .retry_interval = settings->interval,
    };
    struct error error;

    if (settings->kind == SECTION_SQL)
        return;
    base->queue = queue_open(queue_kind_find(section_kind_name(settings->kind)), &options, &error);
    if (base->queue == NULL) {
        if (strcmp(base->problem, error.text) != 0)
            log_warn("%s/%s: %s", settings->section, settings->sid, error.text);
        strlcpy(base->problem, error.text, sizeof(base->problem));
        return;
    }
    base->problem[0] = '\0';
    watch(base);
    if (!service_on_demand())
        base_want_passes(base);
    offer_wake(base);
}

/* The safety net: everything is looked at, whatever inotify told. */
static void
on_scan(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    for (uint32_t i = 0; i < all.count; i++) {
        if (all.bases[i].queue == NULL)
            open_queue(&all.bases[i]);
        else if (!service_on_demand())
            base_want_passes(&all.bases[i]);
        offer_wake(&all.bases[i]);
    }
    service_timer_start(all.scan, service_configuration()->settings.scan_interval);
    offer_pump();
}

static struct base *
find_watched(int watch_number)
{
    for (uint32_t i = 0; i < all.count; i++) {
        if (all.bases[i].watch == watch_number)
            return &all.bases[i];
    }
    return NULL;
}

static void
note_change(const struct inotify_event *event)
{
    struct base *base;

    if (event->mask & IN_Q_OVERFLOW) {
        log_debug("inotify overflowed: all directories are read");
        for (uint32_t i = 0; i < all.count; i++) {
            base_want_passes(&all.bases[i]);
            base_note_missed(&all.bases[i]);
            offer_wake(&all.bases[i]);
        }
        return;
    }
    base = find_watched(event->wd);
    if (base == NULL || base->queue == NULL || event->len == 0 || (event->mask & IN_ISDIR))
        return;
    base_note_fresh(base, event->name);
    offer_wake(base);
}

/* False where there was nothing (more) to read. */
static bool
read_changes(int descriptor)
{
    union {
        struct inotify_event event;
        char octets[64 * (sizeof(struct inotify_event) + NAME_MAX + 1)];
    } changes;
    ssize_t size = read(descriptor, &changes, sizeof(changes));

    for (ssize_t at = 0; at < size;) {
        const struct inotify_event *event = (const void *)(changes.octets + at);

        note_change(event);
        at += (ssize_t)(sizeof(*event) + event->len);
    }
    return size > 0;
}

/* All that is known is read before anything is offered, for the newest come first: a single mail
 * behind a flood is noticed with it, not after it. */
static void
on_changes(evutil_socket_t descriptor, short what, void *context)
{
    int reads = 0;

    (void)what;
    (void)context;
    while (reads++ < CHANGES_READS && read_changes(descriptor))
        continue;
    offer_pump();
}

static void
on_wakeup(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    for (uint32_t i = 0; i < all.count; i++) {
        if (base_wakeup(&all.bases[i]) == 0)
            offer_wake(&all.bases[i]);
    }
    offer_pump();
}

void
bases_plan_wakeup(void)
{
    int64_t earliest = -1;

    for (uint32_t i = 0; i < all.count; i++) {
        int64_t wakeup = all.bases[i].active ? -1 : base_wakeup(&all.bases[i]);

        if (wakeup >= 0 && all.bases[i].room > 0 && (earliest < 0 || wakeup < earliest))
            earliest = wakeup;
    }
    if (earliest >= 0)
        service_timer_start(all.wakeup, earliest > 0 ? earliest : 1);
}

void
bases_start(void)
{
    all.scan = service_timer(on_scan, NULL);
    all.wakeup = service_timer(on_wakeup, NULL);
    if (all.inotify >= 0 && !service_on_demand()) {
        all.changes =
            event_new(service_base(), all.inotify, EV_READ | EV_PERSIST, on_changes, NULL);
        if (all.changes == NULL || event_add(all.changes, NULL) != 0)
            fatal(EX_OSERR, "inotify cannot be waited for");
    }
    log_info("%u base%s to look after", all.count, all.count == 1 ? "" : "s");
    on_scan(-1, 0, NULL);
}

void
bases_handle_problem(struct channel *from, const struct message *message)
{
    struct base *base = bases_get(message->queue_problem.queue);

    (void)from;
    if (base == NULL)
        return;
    strlcpy(base->problem, message->queue_problem.problem, sizeof(base->problem));
    strlcpy(base->alone, message->queue_problem.alone, sizeof(base->alone));
}
