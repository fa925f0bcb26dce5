#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "master/queues.h"
#include "master/timer.h"
#include "master/watch.h"

/* Whoever makes a base makes more than one directory. */
#define SETTLE_MS 1000

#define ROOT_EVENTS                                                                                \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF |         \
        IN_ATTRIB | IN_ONLYDIR)

/* What names a directory in the kernel; zeros where it is not there. */
struct identity {
    dev_t device;
    ino_t inode;
};

struct watch {
    const struct configuration *configuration;
    struct identity *identities; /* of the queues */
    void (*changed)(void *context);
    void *context;
    int inotify; /* -1: none */
    struct event *happened;
    struct event *settled;
    struct event *scan;
};

static struct identity
identify(const char *path)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return (struct identity){0, 0};
    return (struct identity){status.st_dev, status.st_ino};
}

static bool
has_changed(const struct watch *watch)
{
    const struct configuration *configuration = watch->configuration;

    if (queues_changed(configuration))
        return true;
    for (size_t i = 0; i < configuration->queue_count; i++) {
        struct identity now = identify(configuration->queues[i].path);

        if (now.device != watch->identities[i].device || now.inode != watch->identities[i].inode)
            return true;
    }
    return false;
}

static void
check(evutil_socket_t descriptor, short what, void *context)
{
    struct watch *watch = context;

    (void)descriptor;
    (void)what;
    timer_start(watch->scan, watch->configuration->settings.scan_interval);
    if (has_changed(watch))
        watch->changed(watch->context);
}

/* What exactly happened, the scan finds out. */
static void
on_inotify(evutil_socket_t descriptor, short what, void *context)
{
    struct watch *watch = context;
    char events[4096];

    (void)what;
    while (read(descriptor, events, sizeof(events)) > 0)
        continue;
    if (!evtimer_pending(watch->settled, NULL))
        timer_start(watch->settled, SETTLE_MS);
}

/* Without inotify, or for a root that is not there yet, the scan has to do. */
static void
watch_roots(struct watch *watch, struct event_base *base)
{
    const struct configuration *configuration = watch->configuration;

    watch->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->inotify < 0) {
        log_warn("inotify: %s; new bases are noticed every scan_interval", strerror(errno));
        return;
    }
    for (size_t i = 0; i < configuration->section_count; i++) {
        const char *root = configuration->sections[i].root;

        if (root != NULL && inotify_add_watch(watch->inotify, root, ROOT_EVENTS) < 0)
            log_debug("watch %s: %s", root, strerror(errno));
    }
    watch->happened = event_new(base, watch->inotify, EV_READ | EV_PERSIST, on_inotify, watch);
    if (watch->happened == NULL || event_add(watch->happened, NULL) != 0)
        log_warn("new bases are noticed every scan_interval");
}

struct watch *
watch_new(struct event_base *base, const struct configuration *configuration,
    void (*changed)(void *context), void *context)
{
    struct watch *watch = memory_new(1, sizeof(*watch));

    watch->configuration = configuration;
    watch->changed = changed;
    watch->context = context;
    watch->identities = memory_new(configuration->queue_count + 1, sizeof(*watch->identities));
    for (size_t i = 0; i < configuration->queue_count; i++)
        watch->identities[i] = identify(configuration->queues[i].path);
    watch->settled = timer_new(base, check, watch);
    watch->scan = timer_new(base, check, watch);
    watch_roots(watch, base);
    /* Something may have happened since the queues were looked for. */
    timer_start(watch->settled, SETTLE_MS);
    timer_start(watch->scan, configuration->settings.scan_interval);
    return watch;
}

void
watch_free(struct watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->happened != NULL)
        event_free(watch->happened);
    if (watch->inotify >= 0)
        close(watch->inotify);
    event_free(watch->settled);
    event_free(watch->scan);
    free(watch->identities);
    free(watch);
}
