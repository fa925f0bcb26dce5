#include <bsd/string.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/memory.h"
#include "queue/find.h"

struct queue_scan {
    struct queue *queue;
    enum mail_state place;
    DIR *names; /* NULL: there is no such directory */
};

DIR *
find_names(struct queue *queue, enum directory directory, struct error *error)
{
    int parent = directory_get(queue, directory, error);
    int descriptor;
    DIR *names;

    if (parent < 0)
        return NULL;
    descriptor = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    names = descriptor < 0 ? NULL : fdopendir(descriptor);
    if (names == NULL) {
        error_errno(error, "read the directory %s/%s", queue->path, directory_name(directory));
        if (descriptor >= 0)
            close(descriptor);
    }
    return names;
}

/* Only where mails are rewritten instead of moved is there such a thing as a held one. */
static bool
has_place(const struct queue *queue, enum mail_state place)
{
    return queue->kind->single_directory ? place != MAIL_SENT && place != MAIL_DROPPED
                                         : place != MAIL_HELD;
}

struct queue_scan *
queue_scan_open(struct queue *queue, enum mail_state place, struct error *error)
{
    struct queue_scan *scan;
    struct error local = {0};
    DIR *names;

    if (!directory_refresh(queue, error))
        return NULL;
    local.code = ENOENT;
    names = has_place(queue, place) ? find_names(queue, directory_of(place), &local) : NULL;
    if (names == NULL && local.code != ENOENT) {
        if (error != NULL)
            *error = local;
        return NULL;
    }
    scan = memory_new(1, sizeof(*scan));
    scan->queue = queue;
    scan->place = place;
    scan->names = names;
    return scan;
}

/* Not every file system tells for nothing. */
static bool
is_directory(const struct queue_scan *scan, const struct dirent *entry)
{
    struct stat status;

    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(dirfd(scan->names), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode);
}

static bool
is_name(const struct queue_scan *scan, const char *name)
{
    const struct queue_kind *kind = scan->queue->kind;

    return kind->name_is_in != NULL ? kind->name_is_in(scan->queue, scan->place, name)
                                    : kind->name_is_mail(scan->queue, name);
}

bool
queue_scan_next(struct queue_scan *scan, char name[QUEUE_NAME_SIZE], struct error *error)
{
    const struct dirent *entry;

    memset(error, 0, sizeof(*error));
    if (scan->names == NULL)
        return false;
    for (;;) {
        errno = 0;
        entry = readdir(scan->names);
        if (entry == NULL && errno != 0)
            return error_errno(error, "read the directory %s/%s", scan->queue->path,
                directory_name(directory_of(scan->place)));
        if (entry == NULL)
            return false;
        if (is_name(scan, entry->d_name) && !is_directory(scan, entry)) {
            memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
            return true;
        }
    }
}

void
queue_scan_close(struct queue_scan *scan)
{
    if (scan == NULL)
        return;
    if (scan->names != NULL)
        closedir(scan->names);
    free(scan);
}

void
find_identify(struct mail_identity *identity, const struct stat *status)
{
    identity->device = status->st_dev;
    identity->inode = status->st_ino;
    identity->size = (uint64_t)status->st_size;
    identity->mtime_ns = (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
    identity->order[0] = identity->mtime_ns;
    identity->order[1] = 0;
}

bool
find_is_same(const struct mail_identity *identity, const struct stat *status)
{
    struct mail_identity other;

    find_identify(&other, status);
    return !S_ISDIR(status->st_mode) && other.device == identity->device &&
           other.inode == identity->inode && other.size == identity->size &&
           other.mtime_ns == identity->mtime_ns;
}

static enum queue_found
judge(const struct queue *queue, const struct stat *status, struct mail_identity *identity)
{
    if (S_ISDIR(status->st_mode))
        return QUEUE_FOUND_GONE;
    find_identify(identity, status);
    if (!S_ISREG(status->st_mode))
        return QUEUE_FOUND_OTHER;
    return identity->size > queue->max_message_size ? QUEUE_FOUND_TOO_LARGE : QUEUE_FOUND;
}

static enum queue_found
fail(const struct queue *queue, const struct mail_identity *identity, struct error *error)
{
    error_errno(error, "open %s/%s/%s", queue->path, directory_name(directory_of(identity->place)),
        identity->name);
    return QUEUE_FOUND_FAILED;
}

/* Without opening it. */
static enum queue_found
look_at(struct queue *queue, int parent, struct mail_identity *identity, struct error *error)
{
    struct stat status;

    if (fstatat(parent, identity->name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        return judge(queue, &status, identity);
    return errno == ENOENT ? QUEUE_FOUND_GONE : fail(queue, identity, error);
}

static enum queue_found
open_mail(struct queue *queue, int parent, struct mail_identity *identity, int *descriptor,
    struct error *error)
{
    int opened = directory_open_below(parent, identity->name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    enum queue_found found;
    struct stat status;

    /* A link, a socket. */
    if (opened < 0 && (errno == ELOOP || errno == ENXIO))
        return look_at(queue, parent, identity, error);
    if (opened < 0)
        return errno == ENOENT ? QUEUE_FOUND_GONE : fail(queue, identity, error);
    found = fstat(opened, &status) == 0 ? judge(queue, &status, identity)
                                        : fail(queue, identity, error);
    if (found == QUEUE_FOUND && queue->kind->is_in_place != NULL &&
        !queue->kind->is_in_place(queue, identity, opened))
        found = QUEUE_FOUND_GONE;
    if (found == QUEUE_FOUND)
        *descriptor = opened;
    else
        close(opened);
    return found;
}

/* Its place cannot be told from its name. */
static enum queue_found
look_inside(struct queue *queue, int parent, struct mail_identity *identity, struct error *error)
{
    int descriptor = -1;
    enum queue_found found = open_mail(queue, parent, identity, &descriptor, error);

    if (descriptor >= 0)
        close(descriptor);
    return found;
}

enum queue_found
queue_mail_find(struct queue *queue, enum mail_state place, const char *name,
    struct mail_identity *identity, int *descriptor, struct error *error)
{
    struct error missing = {0};
    int parent;

    memset(identity, 0, sizeof(*identity));
    identity->place = place;
    if (strlcpy(identity->name, name, QUEUE_NAME_SIZE) >= QUEUE_NAME_SIZE ||
        !mail_identity_is_valid(identity) || !has_place(queue, place))
        return QUEUE_FOUND_GONE;
    parent = directory_get(queue, directory_of(place), &missing);
    if (parent < 0 && error != NULL)
        *error = missing;
    if (parent < 0)
        return missing.code == ENOENT ? QUEUE_FOUND_GONE : QUEUE_FOUND_FAILED;
    if (queue->kind->name_is_in != NULL && !queue->kind->name_is_in(queue, place, name))
        return QUEUE_FOUND_GONE;
    if (descriptor != NULL)
        return open_mail(queue, parent, identity, descriptor, error);
    if (queue->kind->is_in_place != NULL)
        return look_inside(queue, parent, identity, error);
    return look_at(queue, parent, identity, error);
}

bool
queue_mail_record(struct queue *queue, const struct mail_identity *identity, int64_t now,
    struct mail_record *record)
{
    int64_t latest = now + queue->retry_interval;

    memset(record, 0, sizeof(*record));
    if (!mail_identity_is_valid(identity))
        return false;
    if (queue->kind->read_record(queue, identity, record)) {
        if (record->next_try > latest)
            record->next_try = latest;
        return true;
    }
    if (identity->place == MAIL_DEFERRED && queue->retry_interval > 0)
        record->next_try = now + (int64_t)(name_hash(queue, record->name, identity->mtime_ns) %
                                           (uint64_t)queue->retry_interval);
    return false;
}
