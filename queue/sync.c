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

bool
sync_failed(struct queue *queue, const char *what, struct error *error)
{
    struct error reason;

    error_errno(&reason, "sync %s of the queue %s", what, queue->path);
    if (error != NULL)
        *error = reason;
    return sync_distrust(queue, &reason);
}

bool
sync_file_system(struct queue *queue, int descriptor, struct error *error)
{
    return syncfs(descriptor) == 0 || sync_failed(queue, "the file system", error);
}

bool
sync_file(struct queue *queue, int descriptor, struct error *error)
{
    return fdatasync(descriptor) == 0 || sync_failed(queue, "a new file", error);
}

bool
sync_directory(struct queue *queue, int descriptor, struct error *error)
{
    return fsync(descriptor) == 0 || sync_failed(queue, "a directory", error);
}

bool
queue_needs_sync(const struct queue *queue)
{
    return queue->touched != 0;
}

/* What is touched from now on is for the next time. */
static void
begin(struct queue *queue, struct queue_flush *flush)
{
    for (enum directory each = 0; each < DIRECTORY_COUNT; each++) {
        if ((queue->touched & 1U << each) == 0 || queue->directories[each] < 0)
            continue;
        queue->syncing |= 1U << each;
        queue->syncs[each] =
            flush_add_directory(flush, queue, queue->directories[each], directory_name(each));
    }
    queue->touched = 0;
    queue->doomed_syncing = queue->doomed_count;
}

void
queue_sync_begin(struct queue *queues[], size_t count, struct queue_flush *flush)
{
    for (size_t i = 0; i < count; i++) {
        queues[i]->syncing = 0;
        if (sync_trusts(queues[i], NULL))
            begin(queues[i], flush);
    }
}

static bool
end(struct queue *queue, const struct queue_flush *flush, struct error *error)
{
    unsigned int syncing = queue->syncing;
    bool done = true;

    for (enum directory each = 0; each < DIRECTORY_COUNT; each++)
        if ((syncing & 1U << each) != 0)
            done &= flush_check(flush, queue->syncs[each], queue, done ? error : NULL);
    queue->syncing = 0;
    if (!done)
        queue->touched |= syncing;
    else if (syncing != 0 && queue->kind->synced != NULL)
        queue->kind->synced(queue);
    return done && sync_trusts(queue, error);
}

bool
queue_sync_end(
    struct queue *queues[], size_t count, const struct queue_flush *flush, struct error *error)
{
    bool done = true;

    for (size_t i = 0; i < count; i++)
        done &= end(queues[i], flush, done ? error : NULL);
    return done;
}
