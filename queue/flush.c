#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/memory.h"
#include "queue/flush.h"
#include "queue/sync.h"

struct flush_item {
    size_t system;
    int descriptor; /* -1: its file system is synced as a whole, or it could not be opened */
    int (*sync)(int descriptor);
    const char *name;
    int problem; /* an errno; 0: none */
};

struct flush_system {
    dev_t device;
    size_t count; /* of its items */
    int descriptor; /* of a directory in it where it is synced as a whole, else -1 */
    int problem;
};

static void
close_all_of(struct queue_flush *flush, size_t system)
{
    for (size_t i = 0; i < flush->item_count; i++) {
        struct flush_item *item = &flush->items[i];

        if (item->system != system || item->descriptor < 0)
            continue;
        close(item->descriptor);
        item->descriptor = -1;
    }
}

static size_t
find_system(struct queue_flush *flush, dev_t device)
{
    size_t system = 0;

    while (system < flush->system_count && flush->systems[system].device != device)
        system++;
    if (system < flush->system_count)
        return system;
    flush->systems = memory_resize(flush->systems, system + 1, sizeof(*flush->systems));
    flush->systems[system] = (struct flush_system){.device = device, .descriptor = -1};
    flush->system_count++;
    return system;
}

/* Where that fails they are synced one by one, however many they are. */
static void
take_as_a_whole(struct queue_flush *flush, size_t number, const struct queue *queue)
{
    struct flush_system *system = &flush->systems[number];

    system->descriptor = fcntl(queue->directories[DIRECTORY_QUEUE], F_DUPFD_CLOEXEC, 0);
    if (system->descriptor >= 0)
        close_all_of(flush, number);
}

static size_t
add(struct queue_flush *flush, const struct queue *queue, const struct flush_item *item)
{
    size_t number = find_system(flush, queue->device);
    struct flush_system *system = &flush->systems[number];

    flush->items = memory_resize(flush->items, flush->item_count + 1, sizeof(*flush->items));
    flush->items[flush->item_count] = *item;
    flush->items[flush->item_count++].system = number;
    system->count++;
    if (system->descriptor >= 0)
        close_all_of(flush, number);
    else if (system->count >= FLUSH_GROUP)
        take_as_a_whole(flush, number, queue);
    return flush->item_count - 1;
}

size_t
flush_add_file(struct queue_flush *flush, const struct queue *queue, int descriptor)
{
    const struct flush_item item = {
        .descriptor = descriptor, .sync = fdatasync, .name = "a new file"};

    return add(flush, queue, &item);
}

/* A copy, for the queue closes a directory that somebody removed. */
size_t
flush_add_directory(
    struct queue_flush *flush, const struct queue *queue, int descriptor, const char *name)
{
    struct flush_item item = {.sync = fsync, .name = name};

    item.descriptor = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
    item.problem = item.descriptor < 0 ? errno : 0;
    return add(flush, queue, &item);
}

void
queue_flush_run(struct queue_flush *flush)
{
    for (size_t i = 0; i < flush->system_count; i++) {
        struct flush_system *system = &flush->systems[i];

        if (system->descriptor >= 0 && syncfs(system->descriptor) != 0)
            system->problem = errno;
    }
    for (size_t i = 0; i < flush->item_count; i++) {
        struct flush_item *item = &flush->items[i];

        if (item->descriptor >= 0 && item->sync(item->descriptor) != 0)
            item->problem = errno;
    }
}

bool
flush_check(
    const struct queue_flush *flush, size_t number, struct queue *queue, struct error *error)
{
    const struct flush_item *item = &flush->items[number];
    const struct flush_system *system = &flush->systems[item->system];
    bool whole = system->descriptor >= 0;

    errno = whole ? system->problem : item->problem;
    return errno == 0 || sync_failed(queue, whole ? "the file system" : item->name, error);
}

void
queue_flush_clear(struct queue_flush *flush)
{
    for (size_t i = 0; i < flush->system_count; i++) {
        close_all_of(flush, i);
        if (flush->systems[i].descriptor >= 0)
            close(flush->systems[i].descriptor);
    }
    free(flush->items);
    free(flush->systems);
    memset(flush, 0, sizeof(*flush));
}
