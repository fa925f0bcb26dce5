#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/text.h"
#include "queue/name.h"
#include "queue/record.h"

#define NANOSECONDS_PER_MILLISECOND 1000000
#define MODE_OF_FILES 0666

/* Reads all of a small file. False where it cannot be, or is larger. */
static bool
read_all(int descriptor, char *text, size_t size, size_t *length)
{
    *length = 0;
    while (*length < size) {
        ssize_t count = read(descriptor, text + *length, size - *length);

        if (count < 0 && errno != EINTR)
            return false;
        if (count == 0)
            return true;
        if (count > 0)
            *length += (size_t)count;
    }
    return false;
}

static bool
read_opened(const struct queue *queue, int descriptor, struct mail_record *record)
{
    char text[RECORD_TEXT_SIZE];
    struct stat status;
    size_t length;

    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) ||
        !directory_trusts(queue, status.st_uid) ||
        !read_all(descriptor, text, sizeof(text), &length) || !record_parse(text, length, record))
        return false;
    record->next_try = (int64_t)status.st_mtim.tv_sec * 1000 +
                       status.st_mtim.tv_nsec / NANOSECONDS_PER_MILLISECOND;
    return true;
}

/* True where a directory has anything in it, or cannot be read. */
static bool
has_names(int parent)
{
    int descriptor = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = descriptor < 0 ? NULL : fdopendir(descriptor);
    const struct dirent *entry = NULL;

    if (names == NULL) {
        if (descriptor >= 0)
            close(descriptor);
        return true;
    }
    while ((entry = readdir(names)) != NULL && entry->d_name[0] == '.')
        continue;
    closedir(names);
    return entry != NULL;
}

/* Only mails that some program died with have records while they wait, and these are made by one
 * process, whose others hear of it: so looking into .state once spares looking there for each. */
static bool
may_exist(struct queue *queue, enum directory directory, int parent)
{
    if (directory != DIRECTORY_STATE || queue->kind->single_directory)
        return true;
    if (queue->strikes == STRIKES_UNKNOWN && parent >= 0)
        queue->strikes = has_names(parent) ? STRIKES_POSSIBLE : STRIKES_NONE;
    return queue->strikes != STRIKES_NONE;
}

void
queue_note_strike(struct queue *queue)
{
    queue->strikes = STRIKES_POSSIBLE;
}

bool
record_read(
    struct queue *queue, enum directory directory, uint64_t hash, struct mail_record *record)
{
    char name[NAME_HASH_SIZE];
    int parent = directory_get(queue, directory, NULL);
    int descriptor;
    bool done;

    memset(record, 0, sizeof(*record));
    if (!may_exist(queue, directory, parent))
        return false;
    name_format_hash(name, hash);
    descriptor = parent < 0 ? -1 : directory_open_below(parent, name, O_RDONLY | O_NONBLOCK);
    if (descriptor < 0) {
        if (parent >= 0 && errno != ENOENT)
            log_warn("the record %s/%s/%s cannot be read: %s", queue->path,
                directory_name(directory), name, strerror(errno));
        return false;
    }
    done = read_opened(queue, descriptor, record);
    close(descriptor);
    if (!done) {
        memset(record, 0, sizeof(*record));
        log_warn("the record %s/%s/%s is damaged or a stranger's, and counts as none", queue->path,
            directory_name(directory), name);
    }
    return done;
}

bool
record_is_under_way(const char *name)
{
    char own[QUEUE_TEMPORARY_SIZE];

    text_format(own, sizeof(own), ".new.%d.", (int)getpid());
    return strncmp(name, own, strlen(own)) == 0;
}

/* A new file; a name that a death left behind is passed over. */
static int
create_temporary(struct queue *queue, enum directory directory, char name[QUEUE_TEMPORARY_SIZE])
{
    int descriptor;

    do {
        text_format(name, QUEUE_TEMPORARY_SIZE, ".new.%d.%" PRIu64, (int)getpid(), queue->serial++);
        descriptor = openat(queue->directories[directory], name,
            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    } while (descriptor < 0 && errno == EEXIST);
    return descriptor;
}

static bool
fill(struct queue *queue, int descriptor, const struct mail_record *record, const char *name,
    struct error *error)
{
    const int64_t next_try = record->next_try > 0 ? record->next_try : 0;
    const struct timespec times[2] = {{.tv_nsec = UTIME_NOW},
        {.tv_sec = next_try / 1000, .tv_nsec = next_try % 1000 * NANOSECONDS_PER_MILLISECOND}};
    char text[RECORD_TEXT_SIZE];
    size_t length = record_format(text, record);
    ssize_t written = write(descriptor, text, length);

    if (written < 0)
        return error_errno(error, "write a record in %s", queue->path);
    if ((size_t)written != length)
        return error_set(error, "write a record in %s: no room", queue->path);
    if (futimens(descriptor, times) != 0)
        return error_errno(error, "set the time of a record in %s", queue->path);
    return directory_adorn(queue, descriptor, queue->mode & MODE_OF_FILES, name, error);
}

int
record_write(struct queue *queue, enum directory directory, const struct mail_record *record,
    char name[QUEUE_TEMPORARY_SIZE], struct error *error)
{
    int descriptor;

    name[0] = '\0';
    if (directory_get(queue, directory, error) < 0)
        return -1;
    descriptor = create_temporary(queue, directory, name);
    if (descriptor < 0 && errno == ENOENT && directory_refresh(queue, error))
        descriptor = create_temporary(queue, directory, name);
    if (descriptor < 0) {
        name[0] = '\0';
        error_errno(error, "create a record in %s/%s", queue->path, directory_name(directory));
        return -1;
    }
    if (fill(queue, descriptor, record, name, error))
        return descriptor;
    unlinkat(queue->directories[directory], name, 0);
    name[0] = '\0';
    close(descriptor);
    return -1;
}

bool
record_publish(struct queue *queue, enum directory directory, const char *name, uint64_t hash,
    struct error *error)
{
    char final[NAME_HASH_SIZE];
    int parent = queue->directories[directory];

    name_format_hash(final, hash);
    directory_touch(queue, directory);
    if (directory == DIRECTORY_STATE)
        queue_note_strike(queue);
    if (renameat(parent, name, parent, final) == 0)
        return true;
    return error_errno(
        error, "name the record %s/%s/%s", queue->path, directory_name(directory), final);
}

void
record_remove(struct queue *queue, enum directory directory, uint64_t hash)
{
    char name[NAME_HASH_SIZE];

    if (!may_exist(queue, directory, queue->directories[directory]))
        return;
    name_format_hash(name, hash);
    if (unlinkat(queue->directories[directory], name, 0) == 0)
        directory_touch(queue, directory);
    else if (errno != ENOENT)
        log_warn("the record %s/%s/%s cannot be removed: %s", queue->path,
            directory_name(directory), name, strerror(errno));
}
