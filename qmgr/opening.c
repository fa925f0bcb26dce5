#include <fcntl.h>

#include "lib/memory.h"
#include "lib/service.h"
#include "qmgr/finish.h"
#include "qmgr/opening.h"
#include "qmgr/recorder.h"
#include "qmgr/schedule.h"

/* How long a queue that could not be opened is left alone. */
#define AGAIN_MS 10000

static struct {
    struct event *again;
    struct queue_options *options; /* of each base */
    bool *under_way; /* the committer is at it */
} opening;

static void
open_base(struct base *base)
{
    const struct configuration *configuration = service_configuration();
    struct queue_options *options = &opening.options[base->number];
    struct commit *commit = memory_new(1, sizeof(*commit));

    *options = (struct queue_options){
        .section = base->settings->section,
        .sid = base->settings->sid,
        .directory = AT_FDCWD,
        .path = base->settings->path,
        .pattern = base->settings->pattern,
        .max_message_size = (uint64_t)configuration->settings.max_message_size,
        .retry_interval = base->settings->interval,
        .expire = base->settings->expire,
        .warn_after = base->settings->warn_after,
        .writable = true,
    };
    commit->kind = COMMIT_OPEN;
    commit->kind_of_queue = queue_kind_find(section_kind_name(base->settings->kind));
    commit->options = options;
    commit->descriptor = -1;
    commit->context = base;
    opening.under_way[base->number] = true;
    finish_submit(commit);
}

/* Opens what is not open. */
static void
on_again(evutil_socket_t descriptor, short what, void *context)
{
    struct base *base;

    (void)descriptor;
    (void)what;
    (void)context;
    for (uint32_t i = 0; !finish_is_closing() && (base = bases_get(i)) != NULL; i++) {
        if (!recorder_is_open(base) && !opening.under_way[i])
            open_base(base);
    }
}

void
opening_end(struct base *base, const struct commit *commit)
{
    opening.under_way[base->number] = false;
    base->queue = commit->result == QUEUE_DONE ? commit->queue : NULL;
    base_note_problem(base, commit->result == QUEUE_DONE ? "" : commit->error.text);
    if (base->queue == NULL && !finish_is_closing())
        service_timer_start(opening.again, AGAIN_MS);
    schedule_soon();
}

void
opening_open(void)
{
    uint32_t count = (uint32_t)service_configuration()->queue_count;

    opening.options = memory_new(count, sizeof(*opening.options));
    opening.under_way = memory_new(count, sizeof(*opening.under_way));
    opening.again = service_timer(on_again, NULL);
    on_again(-1, 0, NULL);
}
