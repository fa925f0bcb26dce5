#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "queue/find.h"
#include "queue/record.h"
#include "queue/split_directory.h"
#include "queue/sync.h"

struct queue_recovery {
    struct queue *queue;
    DIR *names; /* of the queue, for splits */
    struct split_directory split;
    enum queue_result (*split_step)(struct split_directory *, size_t, struct error *);
    struct queue_scan *deferred;
    enum queue_result (*step)(struct queue_recovery *, int64_t now, size_t, struct error *);
};

/* A deferred mail that the original smailer left, or whose record was lost. Not synced: were it
 * lost again, it would only be made again. */
static bool
adopt(struct queue *queue, const char *name, int64_t now, struct error *error)
{
    char temporary[QUEUE_TEMPORARY_SIZE];
    struct mail_identity identity;
    struct mail_record record;
    enum queue_found found = queue_mail_find(queue, MAIL_DEFERRED, name, &identity, NULL, error);
    int descriptor;

    if (found == QUEUE_FOUND_FAILED)
        return false;
    if ((found != QUEUE_FOUND && found != QUEUE_FOUND_TOO_LARGE) ||
        queue_mail_record(queue, &identity, now, &record))
        return true;
    descriptor = record_write(queue, DIRECTORY_DEFER_STATE, &record, temporary, error);
    if (descriptor < 0)
        return false;
    close(descriptor);
    log_debug("%s/defer/%s had no record, and counts as never tried", queue->path, name);
    return record_publish(queue, DIRECTORY_DEFER_STATE, temporary,
        name_hash(queue, record.name, identity.mtime_ns), error);
}

static enum queue_result
step_adopt(struct queue_recovery *recovery, int64_t now, size_t limit, struct error *error)
{
    char name[QUEUE_NAME_SIZE];

    if (recovery->deferred == NULL)
        recovery->deferred = queue_scan_open(recovery->queue, MAIL_DEFERRED, error);
    if (recovery->deferred == NULL || !sync_trusts(recovery->queue, error))
        return QUEUE_FAILED;
    for (size_t i = 0; i < limit; i++) {
        if (!queue_scan_next(recovery->deferred, name, error))
            return error->text[0] != '\0' ? QUEUE_FAILED : QUEUE_DONE;
        if (!adopt(recovery->queue, name, now, error))
            return QUEUE_FAILED;
    }
    return QUEUE_MORE;
}

/* Decides whether a split goes on or back. */
static bool
judge_split(struct queue_recovery *recovery, struct error *error)
{
    char name[QUEUE_NAME_SIZE];
    enum queue_result found = split_directory_find_list(&recovery->split, name, error);

    if (found == QUEUE_FAILED)
        return false;
    recovery->split_step = found == QUEUE_DONE ? split_directory_finish : split_directory_undo;
    log_info("the split %s/%s was interrupted: %s", recovery->queue->path, recovery->split.name,
        found == QUEUE_DONE ? "it is finished" : "it is undone");
    return found != QUEUE_REPLACED || split_directory_restore(&recovery->split, name, error);
}

static void
leave_split(struct queue_recovery *recovery, const struct error *error)
{
    if (error != NULL)
        log_error("an interrupted split stays as it is: %s", error->text);
    split_directory_close(&recovery->split);
    recovery->split_step = NULL;
}

static void
continue_split(struct queue_recovery *recovery, size_t limit)
{
    struct error problem = {0};
    enum queue_result result = recovery->split_step(&recovery->split, limit, &problem);

    if (result != QUEUE_MORE)
        leave_split(recovery, result == QUEUE_FAILED ? &problem : NULL);
}

static void
begin_split(struct queue_recovery *recovery, const char *name)
{
    struct error problem = {0};

    if (!split_directory_open(&recovery->split, recovery->queue, name, &problem) ||
        !judge_split(recovery, &problem))
        leave_split(recovery, &problem);
}

static enum queue_result
step_splits(struct queue_recovery *recovery, int64_t now, size_t limit, struct error *error)
{
    const struct dirent *entry;

    (void)now;
    if (!sync_trusts(recovery->queue, error))
        return QUEUE_FAILED;
    if (recovery->names == NULL && directory_clean(recovery->queue, error))
        recovery->names = find_names(recovery->queue, DIRECTORY_QUEUE, error);
    if (recovery->names == NULL)
        return QUEUE_FAILED;
    for (size_t i = 0; i < limit && recovery->split_step == NULL; i++) {
        entry = readdir(recovery->names);
        if (entry == NULL) {
            recovery->step = step_adopt;
            return QUEUE_MORE;
        }
        if (split_directory_is_name(entry->d_name))
            begin_split(recovery, entry->d_name);
    }
    if (recovery->split_step != NULL)
        continue_split(recovery, limit);
    return QUEUE_MORE;
}

struct queue_recovery *
queue_recovery_begin(struct queue *queue)
{
    struct queue_recovery *recovery = memory_new(1, sizeof(*recovery));

    recovery->queue = queue;
    recovery->split.descriptor = -1;
    recovery->step = step_splits;
    return recovery;
}

enum queue_result
queue_recovery_step(struct queue_recovery *recovery, int64_t now, size_t limit, struct error *error)
{
    memset(error, 0, sizeof(*error));
    if (recovery->queue->kind->single_directory)
        return QUEUE_DONE;
    return recovery->step(recovery, now, limit, error);
}

void
queue_recovery_end(struct queue_recovery *recovery)
{
    if (recovery == NULL)
        return;
    split_directory_close(&recovery->split);
    if (recovery->names != NULL)
        closedir(recovery->names);
    queue_scan_close(recovery->deferred);
    free(recovery);
}
