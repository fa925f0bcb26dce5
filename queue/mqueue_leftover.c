#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "queue/mqueue_internal.h"

/* A program that still writes to such a file does so within this time (ms). */
#define LEFTOVER_AGE (3600 * INT64_C(1000))

/* True where the job has a control file, also one that was set aside. */
static bool
has_control_file(const struct queue *queue, const char *id)
{
    static const char LETTERS[] = "qhQ";
    char name[QUEUE_NAME_SIZE];
    struct stat status;

    for (const char *letter = LETTERS; *letter != '\0'; letter++) {
        mqueue_name(name, *letter, id);
        if (fstatat(queue->directories[DIRECTORY_QUEUE], name, &status, AT_SYMLINK_NOFOLLOW) == 0 ||
            errno != ENOENT)
            return true;
    }
    return false;
}

static bool
is_old(const struct stat *status, int64_t now)
{
    return now - (int64_t)status->st_mtim.tv_sec * 1000 > LEFTOVER_AGE;
}

/* A rewriting that is under way has a lock on its new control file. */
static bool
is_in_the_writing(const struct queue *queue, const char *name)
{
    int descriptor = openat(queue->directories[DIRECTORY_QUEUE], name,
        O_RDWR | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC);
    bool locked = descriptor < 0 || !mqueue_lock(descriptor);

    if (descriptor >= 0)
        close(descriptor);
    return locked;
}

static void
remove_leftover(struct queue *queue, const char *name)
{
    if (unlinkat(queue->directories[DIRECTORY_QUEUE], name, 0) == 0)
        log_info("%s/%s: left by a program that died: removed", queue->path, name);
    else if (errno != ENOENT)
        log_warn("%s/%s, left by a program that died, cannot be removed: %s", queue->path, name,
            strerror(errno));
    directory_touch(queue, DIRECTORY_QUEUE);
}

bool
mqueue_sweep(struct queue *queue, const char *name, int64_t now)
{
    struct stat status;
    bool owned;

    if (!mqueue_is_name(name, 'd') && !mqueue_is_name(name, 't') && !mqueue_is_name(name, 'x'))
        return false;
    if (fstatat(queue->directories[DIRECTORY_QUEUE], name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(status.st_mode) || !is_old(&status, now))
        return false;
    owned = has_control_file(queue, name + 2);
    if (name[0] == 'x' && !owned)
        remove_leftover(queue, name);
    else if (name[0] == 't' && owned && !is_in_the_writing(queue, name))
        remove_leftover(queue, name);
    return name[0] != 'x' && !owned;
}
