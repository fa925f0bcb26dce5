#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/memory.h"
#include "queue/directory.h"
#include "queue/queue.h"

#define PERMISSIONS 07777
#define PROBE_BEFORE ".smailer.probe"
#define PROBE_AFTER ".smailer.probed"

static const struct queue_kind *const KINDS[] = {&QUEUE_SPOOL, &QUEUE_MQUEUE};

bool
mail_identity_is_valid(const struct mail_identity *identity)
{
    return (unsigned int)identity->place < MAIL_STATE_COUNT && identity->name[0] != '\0' &&
           identity->name[0] != '.' && memchr(identity->name, '\0', QUEUE_NAME_SIZE) != NULL &&
           strchr(identity->name, '/') == NULL;
}

const struct queue_kind *
queue_kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
        if (strcmp(KINDS[i]->name, name) == 0)
            return KINDS[i];
    return NULL;
}

static struct queue *
queue_new(const struct queue_kind *kind, const struct queue_options *options)
{
    struct queue *queue = memory_new(1, sizeof(*queue));

    queue->kind = kind;
    queue->section = memory_copy_text(options->section);
    queue->sid = memory_copy_text(options->sid);
    queue->path = memory_copy_text(options->path);
    queue->pattern = memory_copy_text(options->pattern != NULL ? options->pattern : "*");
    queue->max_message_size = options->max_message_size;
    queue->retry_interval = options->retry_interval;
    queue->expire = options->expire;
    queue->warn_after = options->warn_after;
    queue->writable = options->writable;
    for (size_t i = 0; i < DIRECTORY_COUNT; i++)
        queue->directories[i] = -1;
    return queue;
}

static bool
open_directory(struct queue *queue, int below, struct error *error)
{
    struct stat status;
    int descriptor;

    if (below == AT_FDCWD)
        descriptor = open(queue->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    else
        descriptor = directory_open_below(below, queue->path, O_RDONLY | O_DIRECTORY);
    if (descriptor < 0)
        return error_errno(error, "open the queue %s", queue->path);
    queue->directories[DIRECTORY_QUEUE] = descriptor;
    if (fstat(descriptor, &status) != 0)
        return error_errno(error, "read the status of the queue %s", queue->path);
    queue->device = status.st_dev;
    queue->owner = status.st_uid;
    queue->group = status.st_gid;
    queue->mode = status.st_mode & PERMISSIONS;
    return true;
}

/* Two masters would send every mail twice. */
static bool
lock_directory(struct queue *queue, struct error *error)
{
    if (flock(queue->directories[DIRECTORY_QUEUE], LOCK_EX | LOCK_NB) == 0)
        return true;
    if (errno == EWOULDBLOCK)
        return error_errno(error, "the queue %s is in use by another smailer", queue->path);
    return error_errno(error, "lock the queue %s", queue->path);
}

/* Without RENAME_NOREPLACE a mail could overwrite another. */
static bool
test_rename(struct queue *queue, struct error *error)
{
    int directory = directory_get(queue, DIRECTORY_STATE, error);
    int descriptor = openat(
        directory, PROBE_BEFORE, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (descriptor < 0)
        return error_errno(error, "create a file in %s/.state", queue->path);
    close(descriptor);
    if (unlinkat(directory, PROBE_AFTER, 0) != 0 && errno != ENOENT)
        return error_errno(error, "remove a file in %s/.state", queue->path);
    if (renameat2(directory, PROBE_BEFORE, directory, PROBE_AFTER, RENAME_NOREPLACE) != 0)
        return error_errno(error,
            "the file system of %s cannot rename without replacing (RENAME_NOREPLACE)",
            queue->path);
    if (unlinkat(directory, PROBE_AFTER, 0) != 0)
        return error_errno(error, "remove a file in %s/.state", queue->path);
    return true;
}

static bool
prepare_to_write(struct queue *queue, struct error *error)
{
    return lock_directory(queue, error) && queue->kind->open(queue, error) &&
           test_rename(queue, error);
}

struct queue *
queue_open(const struct queue_kind *kind, const struct queue_options *options, struct error *error)
{
    struct queue *queue = queue_new(kind, options);

    if (!open_directory(queue, options->directory, error) ||
        (queue->writable && !prepare_to_write(queue, error))) {
        queue_close(queue);
        return NULL;
    }
    return queue;
}

void
queue_close(struct queue *queue)
{
    if (queue == NULL)
        return;
    for (size_t i = 0; i < DIRECTORY_COUNT; i++)
        if (queue->directories[i] >= 0)
            close(queue->directories[i]);
    free(queue->section);
    free(queue->sid);
    free(queue->path);
    free(queue->pattern);
    free(queue->doomed);
    free(queue);
}

const char *
queue_section(const struct queue *queue)
{
    return queue->section;
}

const char *
queue_sid(const struct queue *queue)
{
    return queue->sid;
}

const char *
queue_path(const struct queue *queue)
{
    return queue->path;
}

int
queue_descriptor(const struct queue *queue)
{
    return queue->directories[DIRECTORY_QUEUE];
}

bool
queue_name_is_mail(const struct queue *queue, const char *name)
{
    return queue->kind->name_is_mail(queue, name);
}

uint64_t
queue_mail_hash(struct queue *queue, const struct mail_identity *identity)
{
    char name[QUEUE_NAME_SIZE];

    return mail_identity_is_valid(identity) ? queue->kind->origin(queue, identity, name) : 0;
}
