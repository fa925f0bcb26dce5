#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "queue/directory.h"

#define PERMISSIONS 07777
#define TEMPORARY_DIRECTORY ".smailer.new"

static const struct {
    enum directory parent;
    const char *name;
    const char *path;
} LAYOUT[] = {
    [DIRECTORY_QUEUE] = {DIRECTORY_COUNT, NULL, "."},
    [DIRECTORY_STATE] = {DIRECTORY_QUEUE, ".state", ".state"},
    [DIRECTORY_SENT] = {DIRECTORY_QUEUE, "sent", "sent"},
    [DIRECTORY_DEFER] = {DIRECTORY_QUEUE, "defer", "defer"},
    [DIRECTORY_DEFER_STATE] = {DIRECTORY_DEFER, ".state", "defer/.state"},
    [DIRECTORY_DROP] = {DIRECTORY_QUEUE, "drop", "drop"},
    [DIRECTORY_DROP_STATE] = {DIRECTORY_DROP, ".state", "drop/.state"},
};

static const struct {
    enum directory mails;
    enum directory records;
} PLACES[MAIL_STATE_COUNT] = {
    [MAIL_WAITING] = {DIRECTORY_QUEUE, DIRECTORY_STATE},
    [MAIL_DEFERRED] = {DIRECTORY_DEFER, DIRECTORY_DEFER_STATE},
    [MAIL_SENT] = {DIRECTORY_SENT, DIRECTORY_COUNT},
    [MAIL_DROPPED] = {DIRECTORY_DROP, DIRECTORY_DROP_STATE},
    [MAIL_HELD] = {DIRECTORY_QUEUE, DIRECTORY_STATE},
};

enum directory
directory_of(enum mail_state place)
{
    return PLACES[place].mails;
}

enum directory
directory_of_records(enum mail_state place)
{
    return PLACES[place].records;
}

const char *
directory_name(enum directory directory)
{
    return LAYOUT[directory].path;
}

bool
directory_has_name(const char *name)
{
    for (size_t i = 0; i < sizeof(LAYOUT) / sizeof(LAYOUT[0]); i++)
        if (LAYOUT[i].parent == DIRECTORY_QUEUE && strcmp(LAYOUT[i].name, name) == 0)
            return true;
    return false;
}

bool
directory_trusts(const struct queue *queue, uid_t owner)
{
    return owner == queue->owner || owner == geteuid();
}

void
directory_touch(struct queue *queue, enum directory directory)
{
    if (queue->kind->single_directory)
        directory = DIRECTORY_QUEUE;
    queue->touched |= 1U << directory;
}

int
directory_walk(int directory, const char *path, int flags)
{
    char name[NAME_MAX + 1];
    size_t length = strcspn(path, "/");
    bool last = path[length] == '\0';
    int here;
    int found;

    if (length >= sizeof(name) || length == 0 || (length == 2 && memcmp(path, "..", 2) == 0)) {
        errno = length >= sizeof(name) ? ENAMETOOLONG : EXDEV;
        return -1;
    }
    memcpy(name, path, length);
    name[length] = '\0';
    here =
        openat(directory, name, (last ? flags : O_RDONLY | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC);
    if (last || here < 0)
        return here;
    found = directory_walk(here, path + length + 1, flags);
    close(here);
    return found;
}

int
directory_open_below(int directory, const char *path, int flags)
{
    struct open_how how = {
        .flags = (unsigned int)(flags | O_NOFOLLOW | O_CLOEXEC),
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
    };
    int descriptor;

    do
        descriptor = (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
    while (descriptor < 0 && (errno == EAGAIN || errno == EINTR));
    return descriptor < 0 && errno == ENOSYS ? directory_walk(directory, path, flags) : descriptor;
}

static bool
directory_check(
    const struct queue *queue, enum directory directory, int descriptor, struct error *error)
{
    struct stat status;

    if (fstat(descriptor, &status) != 0)
        return error_errno(error, "read the status of %s/%s", queue->path, LAYOUT[directory].path);
    if (status.st_dev != queue->device)
        return error_set(error,
            "%s/%s is on another file system than its queue, so mails cannot be moved there",
            queue->path, LAYOUT[directory].path);
    if (!directory_trusts(queue, status.st_uid))
        return error_set(error, "%s/%s belongs to user %u, who is not the owner of its queue",
            queue->path, LAYOUT[directory].path, (unsigned int)status.st_uid);
    return true;
}

/* The owner's rights matter; a group that smailer does not belong to cannot be given, and the mode
 * then gives its own group no more than the queue's. */
static bool
give_owner(const struct queue *queue, int descriptor, const struct stat *status)
{
    if (status->st_uid == queue->owner && status->st_gid == queue->group)
        return true;
    if (fchown(descriptor, queue->owner, queue->group) == 0)
        return true;
    return errno == EPERM && status->st_uid == queue->owner;
}

bool
directory_adorn(
    const struct queue *queue, int descriptor, mode_t mode, const char *name, struct error *error)
{
    struct stat status;

    if (fstat(descriptor, &status) != 0)
        return error_errno(error, "read the status of %s in %s", name, queue->path);
    if ((status.st_mode & PERMISSIONS) != mode && fchmod(descriptor, mode) != 0)
        return error_errno(error, "set the permissions of %s in %s", name, queue->path);
    if (!give_owner(queue, descriptor, &status))
        return error_errno(error, "give %s in %s to its queue's owner", name, queue->path);
    return true;
}

/* Another process cannot be at it: the queue is locked. */
static bool
make_temporary(struct queue *queue, int parent, const char *name, struct error *error)
{
    int descriptor;
    bool done;

    if (mkdirat(parent, TEMPORARY_DIRECTORY, 0700) != 0 && errno != EEXIST)
        return error_errno(error, "make the directory %s in %s", name, queue->path);
    descriptor = directory_open_below(parent, TEMPORARY_DIRECTORY, O_RDONLY | O_DIRECTORY);
    if (descriptor < 0)
        return error_errno(error, "open the new directory %s in %s", name, queue->path);
    done = directory_adorn(queue, descriptor, queue->mode, name, error);
    close(descriptor);
    if (!done)
        unlinkat(parent, TEMPORARY_DIRECTORY, AT_REMOVEDIR);
    return done;
}

bool
directory_make(struct queue *queue, int parent, const char *name, struct error *error)
{
    if (!make_temporary(queue, parent, name, error))
        return false;
    if (renameat2(parent, TEMPORARY_DIRECTORY, parent, name, RENAME_NOREPLACE) == 0)
        return true;
    if (errno == EEXIST)
        return unlinkat(parent, TEMPORARY_DIRECTORY, AT_REMOVEDIR) == 0 ||
               error_errno(error, "remove %s in %s", TEMPORARY_DIRECTORY, queue->path);
    if (errno == EINVAL || errno == ENOSYS)
        return error_errno(error,
            "the file system of %s cannot rename without replacing (RENAME_NOREPLACE)",
            queue->path);
    return error_errno(error, "name the new directory %s in %s", name, queue->path);
}

bool
directory_clean(struct queue *queue, struct error *error)
{
    int directory = queue->directories[DIRECTORY_QUEUE];

    return unlinkat(directory, TEMPORARY_DIRECTORY, AT_REMOVEDIR) == 0 || errno == ENOENT ||
           error_errno(error, "remove %s/%s", queue->path, TEMPORARY_DIRECTORY);
}

static int
directory_open(struct queue *queue, enum directory directory, int parent, struct error *error)
{
    const char *name = LAYOUT[directory].name;
    int descriptor = directory_open_below(parent, name, O_RDONLY | O_DIRECTORY);

    if (descriptor < 0 && errno == ENOENT && queue->writable) {
        if (!directory_make(queue, parent, name, error))
            return -1;
        directory_touch(queue, LAYOUT[directory].parent);
        descriptor = directory_open_below(parent, name, O_RDONLY | O_DIRECTORY);
    }
    if (descriptor < 0) {
        error_errno(error, "open %s/%s", queue->path, LAYOUT[directory].path);
        return -1;
    }
    if (!directory_check(queue, directory, descriptor, error)) {
        close(descriptor);
        return -1;
    }
    return descriptor;
}

int
directory_get(struct queue *queue, enum directory directory, struct error *error)
{
    int parent;

    if (queue->kind->single_directory)
        directory = DIRECTORY_QUEUE;
    if (queue->directories[directory] >= 0)
        return queue->directories[directory];
    parent = directory_get(queue, LAYOUT[directory].parent, error);
    if (parent < 0)
        return -1;
    queue->directories[directory] = directory_open(queue, directory, parent, error);
    return queue->directories[directory];
}

/* True where the descriptor is still what the name in its parent says. */
static bool
is_current(const struct queue *queue, enum directory directory)
{
    int parent = queue->directories[LAYOUT[directory].parent];
    struct stat named;
    struct stat open;

    return parent >= 0 &&
           fstatat(parent, LAYOUT[directory].name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstat(queue->directories[directory], &open) == 0 && named.st_ino == open.st_ino &&
           named.st_dev == open.st_dev;
}

bool
directory_refresh(struct queue *queue, struct error *error)
{
    bool done = true;

    if (queue->kind->single_directory)
        return true;
    for (enum directory each = DIRECTORY_STATE; each < DIRECTORY_COUNT; each++) {
        if (queue->directories[each] >= 0 && !is_current(queue, each)) {
            close(queue->directories[each]);
            queue->directories[each] = -1;
        }
        if (queue->writable && done)
            done = directory_get(queue, each, error) >= 0;
    }
    return done;
}
