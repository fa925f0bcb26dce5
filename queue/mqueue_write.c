#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "queue/mqueue_internal.h"
#include "queue/sync.h"

#define FILE_MODE 0600
#define COPY_SIZE 65536
#define WORK_RECIPIENT 30000 /* priority for each recipient, */
#define WORK_CLASS 1800 /* and off for each class */
#define IDS_TRIED 3600

/* flock(2) is Debian's way, fcntl(2) AIX's. */
bool
mqueue_lock(int descriptor)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return flock(descriptor, LOCK_EX | LOCK_NB) == 0 && fcntl(descriptor, F_SETLK, &whole) == 0;
}

bool
mqueue_is_locked(int descriptor)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    if (flock(descriptor, LOCK_SH | LOCK_NB) != 0)
        return true;
    flock(descriptor, LOCK_UN);
    return fcntl(descriptor, F_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

static bool
write_all(int descriptor, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t written = write(descriptor, text, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        text += written;
        length -= (size_t)written;
    }
    return true;
}

/* A new file of the queue's owner, which nobody else may read. */
static int
create(struct queue *queue, const char *name, struct error *error)
{
    int directory = directory_get(queue, DIRECTORY_QUEUE, error);
    int descriptor =
        openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);

    if (descriptor < 0) {
        error_errno(error, "create %s/%s", queue->path, name);
        return -1;
    }
    if (directory_adorn(queue, descriptor, FILE_MODE, name, error))
        return descriptor;
    unlinkat(directory, name, 0);
    close(descriptor);
    return -1;
}

/* Device and inode of the data file, for the I line. */
static struct control_data
find_data(struct queue *queue, const char *id)
{
    struct control_data data = {0};
    char name[QUEUE_NAME_SIZE];
    struct stat status;

    mqueue_name(name, 'd', id);
    if (fstatat(queue->directories[DIRECTORY_QUEUE], name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        data.device = status.st_dev;
        data.inode = status.st_ino;
    }
    return data;
}

static bool
fill(struct queue *queue, int descriptor, const char *id, const struct control_file *control,
    const char *name, struct error *error)
{
    struct control_data data = find_data(queue, id);
    size_t length;
    char *text = control_file_format(control, &data, &length);
    bool done = mqueue_lock(descriptor) && write_all(descriptor, text, length);

    free(text);
    return done ? sync_file(queue, descriptor, error)
                : error_errno(error, "write %s/%s", queue->path, name);
}

/* What a death left is in the way; the job's lock says that nobody is at it. */
int
mqueue_write(
    struct queue *queue, const char *id, const struct control_file *control, struct error *error)
{
    char name[QUEUE_NAME_SIZE];
    int descriptor;

    mqueue_name(name, 't', id);
    if (!sync_trusts(queue, error) || directory_get(queue, DIRECTORY_QUEUE, error) < 0)
        return -1;
    if (unlinkat(queue->directories[DIRECTORY_QUEUE], name, 0) != 0 && errno != ENOENT) {
        error_errno(error, "remove %s/%s", queue->path, name);
        return -1;
    }
    descriptor = create(queue, name, error);
    if (descriptor < 0 || fill(queue, descriptor, id, control, name, error))
        return descriptor;
    unlinkat(queue->directories[DIRECTORY_QUEUE], name, 0);
    close(descriptor);
    return -1;
}

/* Eight characters for the time and a number, then this process, as sendmail has it. */
static void
make_id(char id[MQUEUE_ID_SIZE], time_t now, unsigned int number)
{
    static const char DIGITS[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    struct tm parts;

    gmtime_r(&now, &parts);
    text_format(id, MQUEUE_ID_SIZE, "%c%c%c%c%c%c%c%c%06d", DIGITS[parts.tm_year % 60],
        DIGITS[parts.tm_mon], DIGITS[parts.tm_mday], DIGITS[parts.tm_hour], DIGITS[parts.tm_min],
        DIGITS[parts.tm_sec % 60], DIGITS[number / 60 % 60], DIGITS[number % 60], (int)getpid());
}

static bool
is_free(const struct queue *queue, const char *id)
{
    static const char LETTERS[] = "qhQt";
    char name[QUEUE_NAME_SIZE];
    struct stat status;

    for (size_t i = 0; LETTERS[i] != '\0'; i++) {
        mqueue_name(name, LETTERS[i], id);
        if (fstatat(queue->directories[DIRECTORY_QUEUE], name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            return false;
    }
    return true;
}

/* Makes the data file, under an id that nobody has. */
static int
create_data(struct queue *queue, int64_t now, char id[MQUEUE_ID_SIZE], struct error *error)
{
    char name[QUEUE_NAME_SIZE];
    int descriptor;

    for (unsigned int i = 0; i < IDS_TRIED; i++) {
        make_id(id, (time_t)(now / 1000), (unsigned int)queue->serial++ % 3600);
        mqueue_name(name, 'd', id);
        if (!is_free(queue, id))
            continue;
        descriptor = create(queue, name, error);
        if (descriptor >= 0 || error->code != EEXIST)
            return descriptor;
    }
    error_set(error, "there is no free id in %s", queue->path);
    return -1;
}

static bool
copy(int from, uint64_t offset, int to, uint64_t *size, struct error *error)
{
    char chunk[COPY_SIZE];
    ssize_t length;

    *size = 0;
    while ((length = pread(from, chunk, sizeof(chunk), (off_t)offset)) > 0) {
        if (!write_all(to, chunk, (size_t)length))
            return error_errno(error, "write the data file");
        offset += (uint64_t)length;
        *size += (uint64_t)length;
    }
    return length == 0 || error_errno(error, "read what is to be the data file");
}

static void
number(struct control_file *control, const struct mqueue_submission *submission, uint64_t size,
    int64_t now)
{
    *control = submission->control;
    control->last_attempt = 0;
    control->attempts = 0;
    if (control->created == 0)
        control->created = now / 1000;
    control->priority = (int64_t)size + (int64_t)control->recipient_count * WORK_RECIPIENT -
                        submission->class * WORK_CLASS;
}

/* Its data file is there: now it becomes a job, in one step. */
static bool
publish(
    struct queue *queue, const char *id, const struct control_file *control, struct error *error)
{
    int directory = queue->directories[DIRECTORY_QUEUE];
    int descriptor = mqueue_write(queue, id, control, error);
    char temporary[QUEUE_NAME_SIZE];
    char name[QUEUE_NAME_SIZE];
    bool done;

    if (descriptor < 0)
        return false;
    mqueue_name(temporary, 't', id);
    mqueue_name(name, 'q', id);
    done = renameat2(directory, temporary, directory, name, RENAME_NOREPLACE) == 0 ||
           error_errno(error, "name %s/%s", queue->path, name);
    if (!done)
        unlinkat(directory, temporary, 0);
    done = done && sync_directory(queue, directory, error);
    close(descriptor);
    return done;
}

bool
mqueue_submit(struct queue *queue, const struct mqueue_submission *submission, int64_t now,
    char id[MQUEUE_ID_SIZE], struct error *error)
{
    struct control_file control;
    char name[QUEUE_NAME_SIZE];
    uint64_t size;
    int descriptor;
    bool done;

    id[0] = '\0';
    if (!sync_trusts(queue, error))
        return false;
    descriptor = create_data(queue, now, id, error);
    if (descriptor < 0) {
        id[0] = '\0';
        return false;
    }
    done = copy(submission->body, submission->offset, descriptor, &size, error) &&
           sync_file(queue, descriptor, error);
    close(descriptor);
    number(&control, submission, size, now);
    done = done && publish(queue, id, &control, error);
    mqueue_name(name, 'd', id);
    if (!done) {
        unlinkat(queue->directories[DIRECTORY_QUEUE], name, 0);
        id[0] = '\0'; /* whoever tries again knows by it that there is no such job */
    }
    return done;
}

static void
name_strikes(char name[QUEUE_NAME_SIZE], const char *id)
{
    text_format(name, QUEUE_NAME_SIZE, ".strikes.%s", id);
}

uint32_t
mqueue_strikes(struct queue *queue, const char *id)
{
    char name[QUEUE_NAME_SIZE];
    struct stat status;

    name_strikes(name, id);
    if (fstatat(queue->directories[DIRECTORY_QUEUE], name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode) || !directory_trusts(queue, status.st_uid))
        return 0;
    return (uint32_t)status.st_size;
}

/* As many octets as there are strikes. */
bool
mqueue_set_strikes(struct queue *queue, const char *id, uint32_t strikes, struct error *error)
{
    int directory = queue->directories[DIRECTORY_QUEUE];
    char name[QUEUE_NAME_SIZE];
    int descriptor;
    bool done;

    name_strikes(name, id);
    if (strikes == 0)
        return unlinkat(directory, name, 0) == 0 || errno == ENOENT;
    descriptor = openat(directory, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (descriptor < 0)
        return error_errno(error, "create %s/%s", queue->path, name);
    done = ftruncate(descriptor, (off_t)strikes) == 0 || error_errno(error, "write %s", name);
    done = done && directory_adorn(queue, descriptor, FILE_MODE, name, error) &&
           sync_file(queue, descriptor, error);
    close(descriptor);
    directory_touch(queue, DIRECTORY_QUEUE);
    return done;
}
