#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"
#include "queue/sync.h"

#define PROBE_GAP 1000 /* ms between two tries of a disk that failed */
#define PROBE_NAME ".smailer.probe"
#define ALL_DIRECTORIES ((1U << DIRECTORY_COUNT) - 1)

static int64_t
monotonic_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool
sync_distrust(struct queue *queue, const struct error *reason)
{
    if (!queue->distrusted)
        log_error("the disk of the queue %s is not trusted: %s", queue->path, reason->text);
    queue->distrusted = true;
    queue->distrust = *reason;
    queue->probed = monotonic_now();
    return false;
}

static bool
write_probe(struct queue *queue, int directory, struct error *error)
{
    int descriptor =
        openat(directory, PROBE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool done = false;

    if (descriptor < 0)
        return error_errno(error, "create a file in %s/.state", queue->path);
    if (write(descriptor, PROBE_NAME, sizeof(PROBE_NAME)) != (ssize_t)sizeof(PROBE_NAME))
        error_errno(error, "write a file in %s/.state", queue->path);
    else if (fsync(descriptor) != 0)
        error_errno(error, "sync a file in %s/.state", queue->path);
    else
        done = true;
    close(descriptor);
    if (unlinkat(directory, PROBE_NAME, 0) != 0 && done)
        done = error_errno(error, "remove a file in %s/.state", queue->path);
    if (done && fsync(directory) != 0)
        done = error_errno(error, "sync %s/.state", queue->path);
    return done;
}

/* What was touched before the failure may have been lost, and a second fsync would not say so; but
 * a mail whose move is lost is only sent twice. */
static bool
probe(struct queue *queue)
{
    struct error error;
    int directory = directory_get(queue, DIRECTORY_STATE, &error);

    if (directory < 0 || !write_probe(queue, directory, &error))
        return sync_distrust(queue, &error);
    queue->distrusted = false;
    queue->touched = ALL_DIRECTORIES;
    log_info("the disk of the queue %s works again", queue->path);
    return true;
}

bool
sync_trusts(struct queue *queue, struct error *error)
{
    if (!queue->distrusted)
        return true;
    if (monotonic_now() - queue->probed >= PROBE_GAP && probe(queue))
        return true;
    if (error != NULL)
        *error = queue->distrust;
    return error_prefix(error, "the disk is not trusted");
}

static bool
fail(struct queue *queue, const char *what, struct error *error)
{
    struct error reason;

    error_errno(&reason, "sync %s of the queue %s", what, queue->path);
    if (error != NULL)
        *error = reason;
    return sync_distrust(queue, &reason);
}

bool
sync_file_system(struct queue *queue, struct error *error)
{
    return syncfs(queue->directories[DIRECTORY_QUEUE]) == 0 ||
           fail(queue, "the file system", error);
}

bool
sync_file(struct queue *queue, int descriptor, struct error *error)
{
    return fdatasync(descriptor) == 0 || fail(queue, "a new file", error);
}

bool
sync_directory(struct queue *queue, int descriptor, struct error *error)
{
    return fsync(descriptor) == 0 || fail(queue, "a directory", error);
}

bool
queue_needs_sync(const struct queue *queue)
{
    return queue->touched != 0;
}

static bool
sync_touched(struct queue *queue, struct error *error)
{
    for (enum directory each = 0; each < DIRECTORY_COUNT; each++) {
        if ((queue->touched & 1U << each) == 0 || queue->directories[each] < 0)
            continue;
        if (fsync(queue->directories[each]) != 0)
            return fail(queue, directory_name(each), error);
    }
    queue->touched = 0;
    return true;
}

static size_t
count_touched(struct queue *queues[], size_t count)
{
    size_t touched = 0;

    for (size_t i = 0; i < count; i++)
        touched += (size_t)__builtin_popcount(queues[i]->touched);
    return touched;
}

/* Queues of one file system, of which many directories were touched, are synced by one call. */
static bool
sync_group(struct queue *queues[], size_t count, struct error *error)
{
    bool done;

    if (count_touched(queues, count) < SYNC_GROUP) {
        done = true;
        for (size_t i = 0; i < count; i++)
            done &= sync_touched(queues[i], done ? error : NULL);
        return done;
    }
    done = sync_file_system(queues[0], error);
    for (size_t i = 0; i < count; i++)
        if (done)
            queues[i]->touched = 0;
        else
            sync_distrust(queues[i], &queues[0]->distrust);
    return done;
}

/* Moves the queues of the first one's file system to the front; returns how many they are. */
static size_t
gather_file_system(struct queue *queues[], size_t count)
{
    size_t gathered = 0;

    for (size_t i = 0; i < count; i++)
        if (queues[i]->device == queues[0]->device) {
            struct queue *same = queues[i];

            queues[i] = queues[gathered];
            queues[gathered++] = same;
        }
    return gathered;
}

/* Moves the queues that may be believed to the front; ERROR gets the first reason of the others. */
static size_t
gather_trusted(struct queue *queues[], size_t count, struct error *error)
{
    size_t gathered = 0;

    for (size_t i = 0; i < count; i++)
        if (sync_trusts(queues[i], gathered == i ? error : NULL)) {
            struct queue *trusted = queues[i];

            queues[i] = queues[gathered];
            queues[gathered++] = trusted;
        }
    return gathered;
}

bool
queue_sync(struct queue *queues[], size_t count, struct error *error)
{
    size_t trusted = gather_trusted(queues, count, error);
    bool done = trusted == count;

    count = trusted;
    while (count > 0) {
        size_t group = gather_file_system(queues, count);

        done &= sync_group(queues, group, done ? error : NULL);
        for (size_t i = 0; i < group; i++)
            if (queues[i]->touched == 0 && queues[i]->kind->synced != NULL)
                queues[i]->kind->synced(queues[i]);
        queues += group;
        count -= group;
    }
    return done;
}
