#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "queue/find.h"
#include "queue/mqueue_internal.h"
#include "queue/sync.h"

#define SECOND INT64_C(1000)
#define WORK_TIME 90000 /* priority for each attempt */
#define EMPTY_AGE (600 * SECOND) /* an empty control file this old is nobody's any more */

/* Whose the control file is, and who may write to it. */
static bool
is_safe(const struct queue *queue, const struct stat *status)
{
    if (!directory_trusts(queue, status->st_uid) && status->st_uid != 0)
        return false;
    if ((status->st_mode & S_IWOTH) != 0)
        return false;
    return (status->st_mode & S_IWGRP) == 0 ||
           (status->st_gid == queue->group && (queue->mode & S_IWGRP) != 0);
}

/* True where the name is still that of the file that was locked, and the file is what was offered.
 */
static bool
is_same(const struct queue *queue, const struct mail_identity *identity, int descriptor,
    struct stat *status)
{
    struct stat named;

    return fstat(descriptor, status) == 0 &&
           fstatat(queue->directories[DIRECTORY_QUEUE], identity->name, &named,
               AT_SYMLINK_NOFOLLOW) == 0 &&
           named.st_ino == status->st_ino && named.st_dev == status->st_dev &&
           status->st_nlink == 1 && find_is_same(identity, status);
}

static enum mqueue_take
lock(struct mqueue_job *job, const struct mail_identity *identity, struct stat *status,
    struct error *error)
{
    int directory = directory_get(job->queue, DIRECTORY_QUEUE, error);

    job->descriptor =
        openat(directory, job->name, O_RDWR | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
    if (job->descriptor < 0 && errno == ENOENT)
        return MQUEUE_GONE;
    if (job->descriptor < 0) {
        error_errno(error, "open %s/%s", job->queue->path, job->name);
        return MQUEUE_FAILED;
    }
    if (!mqueue_lock(job->descriptor))
        return MQUEUE_BUSY;
    if (!is_same(job->queue, identity, job->descriptor, status))
        return MQUEUE_GONE;
    if (S_ISREG(status->st_mode))
        return MQUEUE_TAKEN;
    error_set(error, "%s is not a regular file", job->name);
    return MQUEUE_LEFT;
}

/* Gives the control file another first letter. */
static bool
set_aside(struct mqueue_job *job, char letter, struct error *error)
{
    int directory = job->queue->directories[DIRECTORY_QUEUE];
    char name[QUEUE_NAME_SIZE];

    mqueue_name(name, letter, job->id);
    if (renameat2(directory, job->name, directory, name, RENAME_NOREPLACE) != 0)
        return error_errno(error, "rename %s/%s to %s", job->queue->path, job->name, name);
    directory_touch(job->queue, DIRECTORY_QUEUE);
    return true;
}

static void
remove_name(struct mqueue_job *job, char letter)
{
    char name[QUEUE_NAME_SIZE];

    mqueue_name(name, letter, job->id);
    unlinkat(job->queue->directories[DIRECTORY_QUEUE], name, 0);
}

/* The control file goes first: without it the job does not exist. */
static bool
remove_job(struct mqueue_job *job, struct error *error)
{
    if (!sync_trusts(job->queue, error))
        return false;
    if (unlinkat(job->queue->directories[DIRECTORY_QUEUE], job->name, 0) != 0 && errno != ENOENT)
        return error_errno(error, "remove %s/%s", job->queue->path, job->name);
    mqueue_doom(job->queue, job->id);
    mqueue_set_strikes(job->queue, job->id, 0, error);
    return true;
}

static bool
has_data(const struct mqueue_job *job)
{
    char name[QUEUE_NAME_SIZE];
    struct stat status;

    mqueue_name(name, 'd', job->id);
    return fstatat(job->queue->directories[DIRECTORY_QUEUE], name, &status, AT_SYMLINK_NOFOLLOW) ==
           0;
}

static enum mqueue_take
lose(struct mqueue_job *job, enum mqueue_take how, struct error *error)
{
    struct error reason = *error;

    if (!set_aside(job, 'Q', error))
        return MQUEUE_FAILED;
    *error = reason;
    return how;
}

static enum mqueue_take
judge_empty(struct mqueue_job *job, const struct stat *status, int64_t now, struct error *error)
{
    if (now - (int64_t)status->st_ctim.tv_sec * SECOND <= EMPTY_AGE)
        return MQUEUE_EMPTY;
    return remove_job(job, error) ? MQUEUE_FINISHED : MQUEUE_FAILED;
}

/* A time that is farther away than the gap comes from a clock that has jumped. */
static bool
is_young(const struct mqueue_job *job, int64_t now)
{
    int64_t next = mqueue_next_try(job->queue, &job->control);

    return now < next && next - now <= job->queue->retry_interval;
}

/* A job that can be read. */
static enum mqueue_take
judge_good(struct mqueue_job *job, bool force, int64_t now, struct error *error)
{
    if (job->control.quarantine != NULL)
        return set_aside(job, 'h', error) ? MQUEUE_HELD : MQUEUE_FAILED;
    if (job->control.recipient_count == 0)
        return remove_job(job, error) ? MQUEUE_FINISHED : MQUEUE_FAILED;
    if (!has_data(job)) {
        error_set(error, "cannot open df%s: No such file or directory", job->id);
        return MQUEUE_NO_DATA;
    }
    return !force && is_young(job, now) ? MQUEUE_YOUNG : MQUEUE_TAKEN;
}

static enum mqueue_take
judge(
    struct mqueue_job *job, const struct stat *status, bool force, int64_t now, struct error *error)
{
    enum control_state state = mqueue_read(job->descriptor, &job->control, error);

    if (state == CONTROL_EMPTY)
        return judge_empty(job, status, now, error);
    if (!is_safe(job->queue, status)) {
        error_set(error, "bogus queue file: its owner (%u) or its mode (%04o) is not safe",
            (unsigned int)status->st_uid, (unsigned int)status->st_mode & 07777);
        return lose(job, MQUEUE_UNSAFE, error);
    }
    if (state == CONTROL_LOST)
        return lose(job, MQUEUE_LOST, error);
    if (state != CONTROL_GOOD)
        return MQUEUE_LEFT;
    return judge_good(job, force, now, error);
}

/* For people only: that it cannot be written is no reason to stop. */
static void
begin_transcript(struct mqueue_job *job, int64_t now)
{
    int directory = job->queue->directories[DIRECTORY_QUEUE];
    time_t seconds = (time_t)(now / SECOND);
    char name[QUEUE_NAME_SIZE];
    char line[QUEUE_NAME_SIZE];
    int descriptor;
    struct stat status;
    struct tm parts;
    size_t length;

    mqueue_name(name, 'x', job->id);
    job->had_transcript = unlinkat(directory, name, 0) == 0;
    descriptor =
        openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (descriptor < 0)
        return;
    localtime_r(&seconds, &parts);
    length = strftime(line, sizeof(line), "delivery by smailer began at %F %T %z\n", &parts);
    if (!directory_adorn(job->queue, descriptor, 0600, name, NULL) ||
        write(descriptor, line, length) != (ssize_t)length)
        log_debug("%s/%s cannot be written", job->queue->path, name);
    if (fstat(descriptor, &status) == 0)
        job->transcript = status.st_ino;
    close(descriptor);
}

static void
free_job(struct mqueue_job *job)
{
    if (job->descriptor >= 0)
        close(job->descriptor);
    control_file_free(&job->control);
    free(job);
}

enum mqueue_take
mqueue_take(struct queue *queue, const struct mail_identity *identity, bool force, int64_t now,
    struct mqueue_job **taken, struct error *error)
{
    struct mqueue_job *job = memory_new(1, sizeof(*job));
    struct stat status;
    enum mqueue_take result;

    memset(error, 0, sizeof(*error));
    job->queue = queue;
    strlcpy(job->name, identity->name, sizeof(job->name));
    strlcpy(job->id, identity->name + 2, sizeof(job->id));
    result = lock(job, identity, &status, error);
    if (result == MQUEUE_TAKEN)
        result = judge(job, &status, force, now, error);
    if (result == MQUEUE_TAKEN) {
        job->attempts = job->control.attempts > 0 ? job->control.attempts : 0;
        job->priority = job->control.priority;
        begin_transcript(job, now);
        *taken = job;
    } else {
        free_job(job);
    }
    return result;
}

bool
mqueue_had_transcript(const struct mqueue_job *job)
{
    return job->had_transcript;
}

/* It is opened again, for a descriptor of each job that waits would be too many. What another put
 * in its place is not touched. */
int
mqueue_open_transcript(const struct mqueue_job *job)
{
    char name[QUEUE_NAME_SIZE];
    struct stat status;
    int descriptor;

    if (job->transcript == 0)
        return -1;
    mqueue_name(name, 'x', job->id);
    descriptor = openat(job->queue->directories[DIRECTORY_QUEUE], name,
        O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    if (fstat(descriptor, &status) == 0 && status.st_ino == job->transcript)
        return descriptor;
    close(descriptor);
    return -1;
}

const struct control_file *
mqueue_control(const struct mqueue_job *job)
{
    return &job->control;
}

void
mqueue_release(struct mqueue_job *job)
{
    if (job == NULL)
        return;
    remove_name(job, 'x');
    free_job(job);
}

/* The new control file takes the place of the old one, NAME. */
static bool
rewrite(struct mqueue_job *job, const char *name, struct error *error)
{
    int directory = job->queue->directories[DIRECTORY_QUEUE];
    int descriptor = mqueue_write(job->queue, job->id, &job->control, error);
    char temporary[QUEUE_NAME_SIZE];
    bool done;

    if (descriptor < 0)
        return false;
    mqueue_name(temporary, 't', job->id);
    done = renameat(directory, temporary, directory, name) == 0 ||
           error_errno(error, "name %s/%s", job->queue->path, name);
    if (!done)
        unlinkat(directory, temporary, 0);
    directory_touch(job->queue, DIRECTORY_QUEUE);
    close(descriptor);
    return done;
}

static void
apply(struct mqueue_job *job, const struct mqueue_decision *decision, int64_t now)
{
    struct control_file *control = &job->control;

    mqueue_apply(control, decision);
    control->last_attempt = now / SECOND;
    control->attempts = job->attempts + 1;
    control->priority = job->priority + WORK_TIME;
    control->status = decision->status[0] != '\0' ? decision->status : NULL;
    if (decision->warned && !control_flag(control->flags, 'w'))
        strlcat(control->flags, "w", sizeof(control->flags));
}

bool
mqueue_settle(struct mqueue_job *job, const struct mqueue_decision *decision, int64_t now,
    struct error *error)
{
    bool done;

    if (decision->remaining == 0) {
        done = remove_job(job, error);
    } else {
        apply(job, decision, now);
        done = rewrite(job, job->name, error);
        if (done)
            mqueue_set_strikes(job->queue, job->id, 0, error);
    }
    if (done)
        mqueue_release(job);
    return done;
}

bool
mqueue_hold(struct mqueue_job *job, const char *reason, struct error *error)
{
    bool done;

    job->control.quarantine = reason;
    /* First its reason, then its name: a death in between leaves a qf that says it is held. */
    done = rewrite(job, job->name, error) && set_aside(job, 'h', error);
    if (done)
        mqueue_release(job);
    return done;
}

bool
mqueue_strike(struct mqueue_job *job, uint32_t *strikes, struct error *error)
{
    *strikes = mqueue_strikes(job->queue, job->id) + 1;
    return mqueue_set_strikes(job->queue, job->id, *strikes, error);
}
