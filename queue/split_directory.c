#include <bsd/string.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/text.h"
#include "queue/find.h"
#include "queue/record.h"
#include "queue/split_directory.h"
#include "queue/spool.h"
#include "queue/sync.h"

#define SPLIT_PREFIX ".split-"
#define NAME_FORMAT SPLIT_PREFIX "%016" PRIX64 "-%016" PRIX64 "-%016" PRIX64

bool
split_directory_is_name(const char *name)
{
    return strncmp(name, SPLIT_PREFIX, sizeof(SPLIT_PREFIX) - 1) == 0;
}

static bool
open_made(struct split_directory *directory, struct error *error)
{
    struct queue *queue = directory->queue;
    struct stat status;

    directory->descriptor = directory_open_below(
        queue->directories[DIRECTORY_QUEUE], directory->name, O_RDONLY | O_DIRECTORY);
    if (directory->descriptor < 0)
        return error_errno(error, "open %s/%s", queue->path, directory->name);
    if (fstat(directory->descriptor, &status) == 0 && status.st_dev == queue->device &&
        directory_trusts(queue, status.st_uid))
        return true;
    split_directory_close(directory);
    return error_set(error, "%s/%s is a stranger's", queue->path, directory->name);
}

bool
split_directory_make(struct split_directory *directory, struct queue *queue,
    const struct mail_identity *identity, uint64_t hash, struct error *error)
{
    int parent = queue->directories[DIRECTORY_QUEUE];
    struct stat status;

    memset(directory, 0, sizeof(*directory));
    directory->queue = queue;
    directory->descriptor = -1;
    directory->hash = hash;
    directory->inode = identity->inode;
    directory->size = identity->size;
    text_format(
        directory->name, SPLIT_NAME_SIZE, NAME_FORMAT, hash, identity->inode, identity->size);
    if (fstatat(parent, directory->name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        return error_set(
            error, "the list %s/%s is being split already", queue->path, identity->name);
    directory_touch(queue, DIRECTORY_QUEUE);
    return directory_make(queue, parent, directory->name, error) && open_made(directory, error);
}

/* Takes apart what NAME_FORMAT made. */
static bool
parse_name(struct split_directory *directory)
{
    uint64_t *const numbers[] = {&directory->hash, &directory->inode, &directory->size};
    const char *at = directory->name + sizeof(SPLIT_PREFIX) - 1;

    for (size_t i = 0; i < 3; i++) {
        if (!name_parse_hash(at, numbers[i]))
            return false;
        at += NAME_HASH_SIZE - 1;
        if (*at != (i < 2 ? '-' : '\0'))
            return false;
        at++;
    }
    return true;
}

bool
split_directory_open(
    struct split_directory *directory, struct queue *queue, const char *name, struct error *error)
{
    memset(directory, 0, sizeof(*directory));
    directory->queue = queue;
    directory->descriptor = -1;
    if (!split_directory_is_name(name) ||
        strlcpy(directory->name, name, SPLIT_NAME_SIZE) >= SPLIT_NAME_SIZE ||
        !parse_name(directory))
        return error_set(error, "%s/%s is no name of a split", queue->path, name);
    return open_made(directory, error);
}

void
split_directory_close(struct split_directory *directory)
{
    if (directory->entries != NULL)
        closedir(directory->entries);
    if (directory->descriptor >= 0)
        close(directory->descriptor);
    directory->entries = NULL;
    directory->descriptor = -1;
}

static DIR *
open_entries(int parent, const char *name)
{
    int descriptor = directory_open_below(parent, name, O_RDONLY | O_DIRECTORY);
    DIR *entries = descriptor < 0 ? NULL : fdopendir(descriptor);

    if (entries == NULL && descriptor >= 0)
        close(descriptor);
    return entries;
}

int
split_directory_make_list(struct split_directory *directory, struct error *error)
{
    int descriptor;

    if (mkdirat(directory->descriptor, SPLIT_LIST, 0700) != 0) {
        error_errno(error, "make %s in %s", SPLIT_LIST, directory->name);
        return -1;
    }
    descriptor = directory_open_below(directory->descriptor, SPLIT_LIST, O_RDONLY | O_DIRECTORY);
    if (descriptor < 0)
        error_errno(error, "open %s in %s", SPLIT_LIST, directory->name);
    return descriptor;
}

enum queue_result
split_directory_find_list(
    struct split_directory *directory, char name[QUEUE_NAME_SIZE], struct error *error)
{
    DIR *entries = open_entries(directory->descriptor, SPLIT_LIST);
    enum queue_result result = QUEUE_GONE;
    struct mail_identity found;
    const struct dirent *entry;
    struct stat status;

    if (entries == NULL && errno == ENOENT)
        return QUEUE_GONE;
    if (entries == NULL) {
        error_errno(error, "open %s in %s", SPLIT_LIST, directory->name);
        return QUEUE_FAILED;
    }
    while (result == QUEUE_GONE && (entry = readdir(entries)) != NULL) {
        if (entry->d_name[0] == '.' ||
            fstatat(dirfd(entries), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
        find_identify(&found, &status);
        result = S_ISREG(status.st_mode) && found.inode == directory->inode &&
                         found.size == directory->size &&
                         name_hash(directory->queue, name, found.mtime_ns) == directory->hash
                     ? QUEUE_DONE
                     : QUEUE_REPLACED;
    }
    closedir(entries);
    return result;
}

/* Moves NAME from SOURCE into the queue. */
static bool
move_out(struct split_directory *directory, int source, const char *name, struct error *error)
{
    struct queue *queue = directory->queue;
    struct spool_rename rename = {
        .queue = queue,
        .source = source,
        .name = name,
        .target = queue->directories[DIRECTORY_QUEUE],
        .wanted = name,
        .origin = name,
    };
    char final[QUEUE_NAME_SIZE];
    struct mail_identity document;
    struct stat status;
    enum queue_result result;

    if (fstatat(source, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return error_errno(error, "read the status of %s in %s", name, directory->name);
    find_identify(&document, &status);
    rename.hash = name_hash(queue, name, document.mtime_ns);
    directory_touch(queue, DIRECTORY_QUEUE);
    result = spool_rename(&rename, final, error);
    return result == QUEUE_DONE || result == QUEUE_GONE;
}

bool
split_directory_restore(struct split_directory *directory, const char *name, struct error *error)
{
    int source = directory_open_below(directory->descriptor, SPLIT_LIST, O_RDONLY | O_DIRECTORY);
    bool done;

    if (source < 0)
        return error_errno(error, "open %s in %s", SPLIT_LIST, directory->name);
    done = move_out(directory, source, name, error);
    close(source);
    return done;
}

/* The next document of this pass; false at its end. */
static bool
next_document(struct split_directory *directory, char name[QUEUE_NAME_SIZE])
{
    const struct dirent *entry;

    while ((entry = readdir(directory->entries)) != NULL)
        if (entry->d_name[0] != '.') {
            memcpy(name, entry->d_name, strlen(entry->d_name) + 1);
            return true;
        }
    return false;
}

/* Takes up to LIMIT documents out, in one way or the other. Since names leave while they are read,
 * it is over after a pass that found none. */
static enum queue_result
take_out(struct split_directory *directory, size_t limit,
    bool (*take)(struct split_directory *, int, const char *, struct error *), struct error *error)
{
    char name[QUEUE_NAME_SIZE];

    if (directory->entries == NULL)
        directory->entries = open_entries(directory->descriptor, ".");
    if (directory->entries == NULL) {
        error_errno(error, "read %s/%s", directory->queue->path, directory->name);
        return QUEUE_FAILED;
    }
    for (size_t i = 0; i < limit; i++) {
        if (!next_document(directory, name)) {
            bool again = directory->changed;

            rewinddir(directory->entries);
            directory->changed = false;
            return again ? QUEUE_MORE : QUEUE_DONE;
        }
        if (!take(directory, directory->descriptor, name, error))
            return QUEUE_FAILED;
        directory->changed = true;
    }
    return QUEUE_MORE;
}

static bool
remove_document(
    struct split_directory *directory, int source, const char *name, struct error *error)
{
    return unlinkat(source, name, 0) == 0 || errno == ENOENT ||
           error_errno(error, "remove %s in %s", name, directory->name);
}

static bool
remove_directories(struct split_directory *directory, struct error *error)
{
    struct queue *queue = directory->queue;

    if (unlinkat(directory->descriptor, SPLIT_LIST, AT_REMOVEDIR) != 0 && errno != ENOENT)
        return error_errno(error, "remove %s in %s", SPLIT_LIST, directory->name);
    if (unlinkat(queue->directories[DIRECTORY_QUEUE], directory->name, AT_REMOVEDIR) != 0)
        return error_errno(error, "remove %s/%s", queue->path, directory->name);
    directory_touch(queue, DIRECTORY_QUEUE);
    return true;
}

static bool
remove_list(struct split_directory *directory, struct error *error)
{
    char path[sizeof(SPLIT_LIST) + 1 + QUEUE_NAME_SIZE];
    char name[QUEUE_NAME_SIZE];
    enum queue_result found = split_directory_find_list(directory, name, error);

    if (found != QUEUE_DONE)
        return found == QUEUE_GONE;
    text_format(path, sizeof(path), "%s/%s", SPLIT_LIST, name);
    return unlinkat(directory->descriptor, path, 0) == 0 ||
           error_errno(error, "remove the list %s", name);
}

enum queue_result
split_directory_finish(struct split_directory *directory, size_t limit, struct error *error)
{
    struct queue *queue = directory->queue;
    enum queue_result result = take_out(directory, limit, move_out, error);

    if (result != QUEUE_DONE)
        return result;
    /* Without the list in it, a directory that a power cut brings back would be undone. */
    if (!sync_directory(queue, queue->directories[DIRECTORY_QUEUE], error) ||
        !sync_directory(queue, directory->descriptor, error) || !remove_list(directory, error) ||
        !remove_directories(directory, error))
        return QUEUE_FAILED;
    record_remove(queue, DIRECTORY_STATE, directory->hash);
    return QUEUE_DONE;
}

enum queue_result
split_directory_undo(struct split_directory *directory, size_t limit, struct error *error)
{
    enum queue_result result;

    /* Never while the list is in it, for then the documents are all there is. */
    if (unlinkat(directory->descriptor, SPLIT_LIST, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        error_errno(error, "remove %s in %s", SPLIT_LIST, directory->name);
        return QUEUE_FAILED;
    }
    result = take_out(directory, limit, remove_document, error);
    if (result != QUEUE_DONE)
        return result;
    return remove_directories(directory, error) ? QUEUE_DONE : QUEUE_FAILED;
}
