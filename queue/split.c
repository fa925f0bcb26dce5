#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "lib/memory.h"
#include "queue/find.h"
#include "queue/split_directory.h"
#include "queue/spool.h"
#include "queue/sync.h"

#define LENGTH_DIGITS 10 /* at the most */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define SIZE_FACTOR 16 /* all documents to one message of the largest size */
#define SIZE_MORE ((uint64_t)1024 * 1024) /* and that, for their XML around each item */
#define PERMISSIONS_OF_FILES 0777

struct queue_split {
    struct queue *queue;
    struct mail_identity list;
    struct split_directory directory;
    struct stat status; /* the list's: its documents look like it */
    int descriptor; /* the documents */
    off_t size;
    off_t at;
    unsigned int documents;
    unsigned int written;
    enum queue_result (*step)(struct queue_split *, size_t limit, struct error *);
    enum queue_result verdict; /* what to say after the undoing */
    struct error problem;
};

/* Reads the length at *AT, which moves behind it. */
static bool
read_length(const struct queue_split *split, off_t *at, off_t *length, struct error *error)
{
    char digits[LENGTH_DIGITS + 1];
    ssize_t count = pread(split->descriptor, digits, sizeof(digits), *at);

    *length = 0;
    for (ssize_t i = 0; i < count; i++) {
        if (digits[i] == '\n' && i > 0) {
            *at += i + 1;
            return *length <= split->size - *at ||
                   error_set(error, "a document is longer than all of them");
        }
        if (digits[i] < '0' || digits[i] > '9')
            break;
        *length = *length * 10 + (digits[i] - '0');
    }
    return error_set(error, "the documents of a list do not begin with their length");
}

static bool
check_documents(struct queue_split *split, struct error *error)
{
    struct stat status;
    int seals = fcntl(split->descriptor, F_GET_SEALS);
    off_t length;

    if (seals < 0 || (seals & SEALS) != SEALS || fstat(split->descriptor, &status) != 0)
        return error_set(error, "the documents of a list can still be changed");
    split->size = status.st_size;
    if ((uint64_t)split->size > split->queue->max_message_size * SIZE_FACTOR + SIZE_MORE)
        return error_set(error, "the documents of a list are too large");
    for (off_t at = 0; at < split->size; at += length) {
        if (split->documents == QUEUE_SPLIT_DOCUMENTS_MAX)
            return error_set(error, "a list has more than %d items", QUEUE_SPLIT_DOCUMENTS_MAX);
        if (!read_length(split, &at, &length, error))
            return false;
        split->documents++;
    }
    return split->documents > 0 || error_set(error, "a list has no documents");
}

static bool
copy_octets(const struct queue_split *split, int target, off_t length, struct error *error)
{
    off_t at = split->at;
    off_t end = at + length;

    while (at < end) {
        ssize_t count = sendfile(target, split->descriptor, &at, (size_t)(end - at));

        if (count < 0 && errno != EINTR)
            return error_errno(
                error, "write a document of %s/%s", split->queue->path, split->list.name);
        if (count == 0)
            return error_set(error, "the documents of a list end too early");
    }
    return true;
}

/* The list's time, permissions and owner (where we may); and on the disk, where no group sync
 * follows. */
static bool
finish_document(struct queue_split *split, int target, const char *name, struct error *error)
{
    const struct timespec times[2] = {split->status.st_mtim, split->status.st_mtim};

    if (futimens(target, times) != 0 ||
        fchmod(target, split->status.st_mode & PERMISSIONS_OF_FILES) != 0)
        return error_errno(error, "give %s in %s its time", name, split->queue->path);
    if (fchown(target, split->status.st_uid, split->status.st_gid) != 0 && errno != EPERM)
        return error_errno(error, "give %s in %s its owner", name, split->queue->path);
    return split->documents >= FLUSH_GROUP || sync_file(split->queue, target, error);
}

static bool
write_document(struct queue_split *split, struct error *error)
{
    char name[QUEUE_NAME_SIZE];
    off_t length;
    int target;
    bool done;

    if (!read_length(split, &split->at, &length, error))
        return false;
    if (!name_document(split->queue, name, split->list.name, split->written + 1))
        return error_set(error, "the pattern %s leaves out the names of a list's documents (%s)",
            split->queue->pattern, name);
    target = openat(split->directory.descriptor, name,
        O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (target < 0)
        return error_errno(error, "create %s in %s", name, split->queue->path);
    done = copy_octets(split, target, length, error) && finish_document(split, target, name, error);
    close(target);
    split->at += length;
    split->written++;
    return done;
}

static enum queue_result
step_undo(struct queue_split *split, size_t limit, struct error *error)
{
    enum queue_result result = split_directory_undo(&split->directory, limit, error);

    if (result != QUEUE_DONE)
        return result;
    *error = split->problem;
    return split->verdict;
}

/* What was written goes again, and then VERDICT is given, with what ERROR says now. */
static enum queue_result
undo(struct queue_split *split, enum queue_result verdict, const struct error *error)
{
    split->verdict = verdict;
    split->problem = *error;
    split->step = step_undo;
    return QUEUE_MORE;
}

static enum queue_result
step_finish(struct queue_split *split, size_t limit, struct error *error)
{
    return split_directory_finish(&split->directory, limit, error);
}

static bool
sync_documents(struct queue_split *split, struct error *error)
{
    if (split->documents >= FLUSH_GROUP &&
        !sync_file_system(split->queue, split->directory.descriptor, error))
        return false;
    return sync_directory(split->queue, split->directory.descriptor, error);
}

/* The list's own rename, which is the commit if it proves to be the right file. */
static enum queue_result
take_list(struct queue_split *split, int target, struct error *error)
{
    struct spool_rename rename = {
        .queue = split->queue,
        .source = split->queue->directories[DIRECTORY_QUEUE],
        .target = target,
        .name = split->list.name,
        .wanted = split->list.name,
        .origin = split->list.name,
    };
    char name[QUEUE_NAME_SIZE];
    enum queue_result result = spool_rename(&rename, name, error);

    if (result != QUEUE_DONE)
        return undo(split, result, error);
    split->step = step_finish;
    result = split_directory_find_list(&split->directory, name, error);
    if (result == QUEUE_REPLACED && !split_directory_restore(&split->directory, name, error))
        return QUEUE_FAILED;
    if (result == QUEUE_REPLACED || result == QUEUE_GONE)
        return undo(split, result, error);
    /* Documents that are out while the list came back after a power cut would be sent twice. */
    if (result != QUEUE_DONE || !sync_directory(split->queue, target, error) ||
        !sync_directory(split->queue, split->directory.descriptor, error) ||
        !sync_directory(split->queue, split->queue->directories[DIRECTORY_QUEUE], error))
        return QUEUE_FAILED;
    return QUEUE_MORE;
}

static enum queue_result
step_commit(struct queue_split *split, size_t limit, struct error *error)
{
    enum queue_result result;
    int target;

    (void)limit;
    if (!sync_documents(split, error))
        return undo(split, QUEUE_FAILED, error);
    target = split_directory_make_list(&split->directory, error);
    if (target < 0)
        return undo(split, QUEUE_FAILED, error);
    result = take_list(split, target, error);
    close(target);
    return result;
}

static enum queue_result
step_write(struct queue_split *split, size_t limit, struct error *error)
{
    for (size_t i = 0; i < limit && split->written < split->documents; i++)
        if (!write_document(split, error))
            return undo(split, QUEUE_FAILED, error);
    if (split->written == split->documents)
        split->step = step_commit;
    return QUEUE_MORE;
}

/* Is it still the list that was read? */
static enum queue_result
check_list(struct queue_split *split, struct error *error)
{
    struct queue *queue = split->queue;
    const char *name = split->list.name;

    if (!sync_trusts(queue, error))
        return QUEUE_FAILED;
    if (fstatat(queue->directories[DIRECTORY_QUEUE], name, &split->status, AT_SYMLINK_NOFOLLOW) ==
        0)
        return find_is_same(&split->list, &split->status) ? QUEUE_DONE : QUEUE_REPLACED;
    if (errno == ENOENT)
        return QUEUE_GONE;
    error_errno(error, "read the status of %s/%s", queue->path, name);
    return QUEUE_FAILED;
}

static enum queue_result
step_begin(struct queue_split *split, size_t limit, struct error *error)
{
    enum queue_result result = check_list(split, error);
    uint64_t hash = name_hash(split->queue, split->list.name, split->list.mtime_ns);

    (void)limit;
    if (result != QUEUE_DONE)
        return result;
    if (!split_directory_make(&split->directory, split->queue, &split->list, hash, error))
        return QUEUE_FAILED;
    split->step = step_write;
    return QUEUE_MORE;
}

struct queue_split *
queue_split_begin(
    struct queue *queue, const struct mail_identity *identity, int descriptor, struct error *error)
{
    struct queue_split *split = memory_new(1, sizeof(*split));

    split->queue = queue;
    split->list = *identity;
    split->descriptor = descriptor;
    split->step = step_begin;
    split->directory.descriptor = -1;
    if (mail_identity_is_valid(identity) && identity->place == MAIL_WAITING
            ? check_documents(split, error)
            : error_set(error, "only a waiting list can be split"))
        return split;
    queue_split_end(split);
    return NULL;
}

enum queue_result
queue_split_step(struct queue_split *split, size_t limit, struct error *error)
{
    memset(error, 0, sizeof(*error));
    return split->step(split, limit, error);
}

size_t
queue_split_documents(const struct queue_split *split)
{
    return split->documents;
}

void
queue_split_end(struct queue_split *split)
{
    if (split == NULL)
        return;
    split_directory_close(&split->directory);
    free(split);
}
