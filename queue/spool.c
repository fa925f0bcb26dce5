/*
 * The kind "spool" (SOWA1, SOWA2): a file a mail, a directory a state.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "queue/find.h"
#include "queue/record.h"
#include "queue/spool.h"

static bool
spool_open(struct queue *queue, struct error *error)
{
    return directory_refresh(queue, error);
}

/* A variant is believed when the name that it stands for gives the hash in it. */
static uint64_t
spool_origin(struct queue *queue, const struct mail_identity *identity, char name[QUEUE_NAME_SIZE])
{
    enum directory records = directory_of_records(identity->place);
    struct mail_record record;
    uint64_t hash;

    if (name_of_variant(identity->name, &hash, name)) {
        if (name_hash(queue, name, identity->mtime_ns) == hash)
            return hash;
        if (records != DIRECTORY_COUNT && record_read(queue, records, hash, &record) &&
            name_hash(queue, record.name, identity->mtime_ns) == hash) {
            memcpy(name, record.name, QUEUE_NAME_SIZE);
            return hash;
        }
    }
    memcpy(name, identity->name, QUEUE_NAME_SIZE);
    return name_hash(queue, name, identity->mtime_ns);
}

static bool
spool_read_record(
    struct queue *queue, const struct mail_identity *identity, struct mail_record *record)
{
    enum directory records = directory_of_records(identity->place);
    char name[QUEUE_NAME_SIZE];
    uint64_t hash = spool_origin(queue, identity, name);

    memset(record, 0, sizeof(*record));
    if (records != DIRECTORY_COUNT && record_read(queue, records, hash, record)) {
        if (strcmp(record->name, name) == 0)
            return true;
        log_warn("the record of %s/%s/%s is another mail's, and counts as none", queue->path,
            directory_name(directory_of(identity->place)), identity->name);
        memset(record, 0, sizeof(*record));
    }
    memcpy(record->name, name, sizeof(name));
    return false;
}

/* True where the file is still the very mail; otherwise the move's result says what became of it.
 */
static bool
is_still_there(struct queue_move *move)
{
    int source = directory_get(move->queue, directory_of(move->identity.place), &move->error);
    struct stat status;

    if (source < 0)
        return false;
    if (fstatat(source, move->identity.name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        if (find_is_same(&move->identity, &status))
            return true;
        move->result = QUEUE_REPLACED;
    } else if (errno == ENOENT) {
        move->result = QUEUE_GONE;
    } else {
        error_errno(
            &move->error, "read the status of %s/%s", move->queue->path, move->identity.name);
    }
    return false;
}

static bool
spool_move_prepare(struct queue_move *move)
{
    enum directory records = directory_of_records(move->target);

    if (!is_still_there(move))
        return false;
    move->hash = spool_origin(move->queue, &move->identity, move->record.name);
    if (directory_get(move->queue, directory_of(move->target), &move->error) < 0)
        return false;
    if (records == DIRECTORY_COUNT)
        return true;
    move->record_descriptor =
        record_write(move->queue, records, &move->record, move->record_name, &move->error);
    return move->record_descriptor >= 0;
}

static void
spool_move_abandon(struct queue_move *move)
{
    enum directory records = directory_of_records(move->target);

    if (move->record_name[0] != '\0')
        unlinkat(move->queue->directories[records], move->record_name, 0);
}

static enum queue_result
rename_failed(struct queue *queue, int source, const char *name, struct error *error)
{
    struct stat status;
    int problem = errno;

    if (problem == ENOENT && fstatat(source, name, &status, AT_SYMLINK_NOFOLLOW) != 0 &&
        errno == ENOENT)
        return QUEUE_GONE;
    errno = problem;
    error_errno(error, "move %s/%s", queue->path, name);
    return QUEUE_FAILED;
}

enum queue_result
spool_rename(const struct spool_rename *rename, char final[QUEUE_NAME_SIZE], struct error *error)
{
    memcpy(final, rename->wanted, strlen(rename->wanted) + 1);
    for (unsigned int i = 0; i < NAME_VARIANTS_MAX; i++) {
        if (renameat2(rename->source, rename->name, rename->target, final, RENAME_NOREPLACE) == 0)
            return QUEUE_DONE;
        if (errno != EEXIST)
            return rename_failed(rename->queue, rename->source, rename->name, error);
        name_variant(final, rename->origin, rename->hash, i);
    }
    error_set(error, "move %s/%s: all names for it are taken", rename->queue->path, rename->name);
    return QUEUE_FAILED;
}

/* What was moved is not the mail but a newer one of its name, so it goes back. */
static void
put_back(struct queue_move *move, const struct stat *status)
{
    struct queue *queue = move->queue;
    const char *name = move->identity.name;
    char final[QUEUE_NAME_SIZE];
    struct mail_identity newer;
    struct spool_rename rename = {
        .queue = queue,
        .source = queue->directories[directory_of(move->target)],
        .name = move->name,
        .target = queue->directories[directory_of(move->identity.place)],
        .wanted = name,
        .origin = name,
    };

    find_identify(&newer, status);
    rename.hash = name_hash(queue, name, newer.mtime_ns);
    move->result = spool_rename(&rename, final, &move->error);
    if (move->result == QUEUE_DONE)
        move->result = QUEUE_REPLACED;
    else
        error_prefix(&move->error, "put a newer mail back from %s",
            directory_name(directory_of(move->target)));
    memcpy(move->name, name, sizeof(move->name));
}

static void
verify(struct queue_move *move)
{
    int target = move->queue->directories[directory_of(move->target)];
    struct stat status;

    if (fstatat(target, move->name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        move->result = errno == ENOENT ? QUEUE_GONE : QUEUE_DONE;
    else if (!find_is_same(&move->identity, &status))
        put_back(move, &status);
}

static void
move_file(struct queue_move *move)
{
    struct queue *queue = move->queue;
    enum directory source = directory_of(move->identity.place);
    enum directory target = directory_of(move->target);
    struct spool_rename rename = {
        .queue = queue,
        .source = queue->directories[source],
        .name = move->identity.name,
        .target = queue->directories[target],
        .wanted = move->identity.name,
        .origin = move->record.name,
        .hash = move->hash,
    };

    move->result = spool_rename(&rename, move->name, &move->error);
    /* Somebody removed the directory itself. */
    if (move->result == QUEUE_FAILED && move->error.code == ENOENT &&
        directory_refresh(queue, &move->error)) {
        rename.source = queue->directories[source];
        rename.target = queue->directories[target];
        move->result = spool_rename(&rename, move->name, &move->error);
    }
    if (move->result == QUEUE_DONE) {
        directory_touch(queue, source);
        directory_touch(queue, target);
        verify(move);
    }
    if (move->result != QUEUE_DONE)
        memcpy(move->name, move->identity.name, sizeof(move->name));
}

static void
spool_move_commit(struct queue_move *move)
{
    enum directory records = directory_of_records(move->target);
    enum directory old_records = directory_of_records(move->identity.place);

    if (records != DIRECTORY_COUNT &&
        !record_publish(move->queue, records, move->record_name, move->hash, &move->error)) {
        spool_move_abandon(move);
        move->result = QUEUE_FAILED;
        return;
    }
    move->result = QUEUE_DONE;
    if (move->target == move->identity.place)
        return;
    move_file(move);
    if (move->result == QUEUE_DONE)
        record_remove(move->queue, old_records, move->hash);
    else if (records != DIRECTORY_COUNT)
        record_remove(move->queue, records, move->hash);
}

const struct queue_kind QUEUE_SPOOL = {
    .name = "spool",
    .open = spool_open,
    .name_is_mail = name_is_mail,
    .origin = spool_origin,
    .read_record = spool_read_record,
    .move_prepare = spool_move_prepare,
    .move_commit = spool_move_commit,
    .move_abandon = spool_move_abandon,
};
