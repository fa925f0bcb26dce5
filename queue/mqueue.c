#include "queue/mqueue.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/text.h"
#include "queue/find.h"
#include "queue/mqueue_internal.h"

#define SECOND INT64_C(1000)

bool
mqueue_is_kind(const struct queue *queue)
{
    return queue->kind == &QUEUE_MQUEUE;
}

void
mqueue_name(char name[QUEUE_NAME_SIZE], char letter, const char *id)
{
    text_format(name, QUEUE_NAME_SIZE, "%cf%s", letter, id);
}

/* An id is a run of letters and digits. */
bool
mqueue_is_name(const char *name, char letter)
{
    size_t length = 2;

    if (name[0] != letter || name[1] != 'f')
        return false;
    while (isalnum((unsigned char)name[length]))
        length++;
    return name[length] == '\0' && length > 2 && length < 2 + MQUEUE_ID_SIZE - 4;
}

static bool
mqueue_name_is_mail(const struct queue *queue, const char *name)
{
    (void)queue;
    return mqueue_is_name(name, 'q');
}

static bool
mqueue_name_is_in(const struct queue *queue, enum mail_state place, const char *name)
{
    static const char LETTERS[MAIL_STATE_COUNT] = {
        [MAIL_WAITING] = 'q', [MAIL_DEFERRED] = 'q', [MAIL_HELD] = 'h'};

    (void)queue;
    return LETTERS[place] != '\0' && mqueue_is_name(name, LETTERS[place]);
}

enum control_state
mqueue_read(int descriptor, struct control_file *control, struct error *error)
{
    struct stat status;
    enum control_state state;
    ssize_t length;
    char *text;

    memset(control, 0, sizeof(*control));
    if (fstat(descriptor, &status) != 0 || status.st_size > CONTROL_FILE_SIZE_MAX) {
        error_set(error, "the control file is too large");
        return CONTROL_UNUSABLE;
    }
    text = memory_new((size_t)status.st_size + 1, 1);
    length = pread(descriptor, text, (size_t)status.st_size, 0);
    if (length < 0) {
        error_errno(error, "read the control file");
        state = CONTROL_UNUSABLE;
    } else {
        state = control_file_parse(control, text, (size_t)length, error);
    }
    free(text);
    return state;
}

/* Where a job is depends on whether it was tried; one that cannot be read counts as waiting, that
 * whoever takes it in hand says so. */
static bool
mqueue_is_in_place(struct queue *queue, struct mail_identity *identity, int descriptor)
{
    struct control_file control;
    struct error ignored;
    bool deferred =
        mqueue_read(descriptor, &control, &ignored) == CONTROL_GOOD && control.attempts > 0;

    (void)queue;
    identity->order[0] = control.priority;
    identity->order[1] = control.created;
    control_file_free(&control);
    return identity->place == MAIL_HELD || deferred == (identity->place == MAIL_DEFERRED);
}

/* The file is another one after each try, so only its name counts. */
static uint64_t
mqueue_origin(struct queue *queue, const struct mail_identity *identity, char name[QUEUE_NAME_SIZE])
{
    memcpy(name, identity->name, QUEUE_NAME_SIZE);
    name[0] = 'q';
    return name_hash(queue, name, 0);
}

/* Where there were more recipients than go into one try, the others are still to come. */
static bool
is_half_tried(const struct control_file *control)
{
    size_t tried = 0;

    for (size_t i = 0; i < control->recipient_count; i++)
        tried += control->recipients[i].status != NULL;
    return tried < control->recipient_count && (tried > 0 || control->status == NULL);
}

int64_t
mqueue_next_try(const struct queue *queue, const struct control_file *control)
{
    int64_t limit = INT64_MAX / SECOND - queue->retry_interval / SECOND;

    if (control->attempts <= 0 || control->last_attempt <= 0 || control->last_attempt >= limit ||
        is_half_tried(control))
        return 0;
    return control->last_attempt * SECOND + queue->retry_interval;
}

static void
fill_record(
    const struct queue *queue, const struct control_file *control, struct mail_record *record)
{
    const char *reason = control->quarantine != NULL ? control->quarantine : control->status;

    record->attempts = control->attempts > 0 ? (uint32_t)(control->attempts & UINT32_MAX) : 0;
    if (control->last_attempt > 0 && control->last_attempt < INT64_MAX / SECOND)
        record->last_try = control->last_attempt * SECOND;
    record->next_try = mqueue_next_try(queue, control);
    strlcpy(record->reason, reason != NULL ? reason : "", sizeof(record->reason));
}

static bool
mqueue_read_record(
    struct queue *queue, const struct mail_identity *identity, struct mail_record *record)
{
    int directory = directory_get(queue, DIRECTORY_QUEUE, NULL);
    int descriptor = directory_open_below(directory, identity->name, O_RDONLY | O_NONBLOCK);
    struct control_file control;
    struct error ignored;

    memset(record, 0, sizeof(*record));
    memcpy(record->name, identity->name, sizeof(record->name));
    if (descriptor < 0)
        return false;
    mqueue_read(descriptor, &control, &ignored);
    close(descriptor);
    fill_record(queue, &control, record);
    record->strikes = mqueue_strikes(queue, identity->name + 2);
    control_file_free(&control);
    return true;
}

enum queue_found
queue_mail_find_data(struct queue *queue, const struct mail_identity *identity, int *descriptor,
    uint64_t *size, struct error *error)
{
    int directory = directory_get(queue, DIRECTORY_QUEUE, error);
    char name[QUEUE_NAME_SIZE];
    struct stat status;

    *descriptor = -1;
    *size = 0;
    if (!mqueue_is_kind(queue))
        return QUEUE_FOUND;
    mqueue_name(name, 'd', identity->name + 2);
    *descriptor = directory_open_below(directory, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (*descriptor >= 0 && fstat(*descriptor, &status) == 0 && S_ISREG(status.st_mode)) {
        *size = (uint64_t)status.st_size;
        if (*size <= queue->max_message_size)
            return QUEUE_FOUND;
    }
    error_errno(error, "open %s/%s", queue->path, name);
    if (*descriptor < 0 && (error->code == ELOOP || error->code == ENXIO)) /* a link, a socket */
        return QUEUE_FOUND_OTHER;
    if (*descriptor < 0)
        return error->code == ENOENT ? QUEUE_FOUND_GONE : QUEUE_FOUND_FAILED;
    close(*descriptor);
    *descriptor = -1;
    return *size > queue->max_message_size ? QUEUE_FOUND_TOO_LARGE : QUEUE_FOUND_OTHER;
}

/* Nothing has to be made; a queue of others' is not changed before there is a reason. */
static bool
mqueue_open(struct queue *queue, struct error *error)
{
    (void)queue;
    (void)error;
    return true;
}

void
mqueue_doom(struct queue *queue, const char *id)
{
    queue->doomed = memory_resize(queue->doomed, queue->doomed_count + 1, sizeof(queue->doomed[0]));
    mqueue_name(queue->doomed[queue->doomed_count++], 'd', id);
    directory_touch(queue, DIRECTORY_QUEUE);
}

/* Only now: a data file without its control file does no harm, the opposite does. */
static void
mqueue_synced(struct queue *queue)
{
    int directory = queue->directories[DIRECTORY_QUEUE];

    if (queue->doomed_syncing == 0)
        return;
    for (size_t i = 0; i < queue->doomed_syncing; i++)
        if (unlinkat(directory, queue->doomed[i], 0) != 0 && errno != ENOENT)
            log_warn("%s/%s cannot be removed: %s", queue->path, queue->doomed[i], strerror(errno));
    queue->doomed_count -= queue->doomed_syncing;
    memmove(queue->doomed, queue->doomed + queue->doomed_syncing,
        queue->doomed_count * sizeof(queue->doomed[0]));
    queue->doomed_syncing = 0;
}

/* Mails of this kind are never moved. */
static bool
mqueue_move_prepare(struct queue_move *move)
{
    return error_set(&move->error, "a mail of %s cannot be moved", move->queue->path);
}

static void
mqueue_move_nothing(struct queue_move *move)
{
    (void)move;
}

const struct queue_kind QUEUE_MQUEUE = {
    .name = "mqueue",
    .open = mqueue_open,
    .name_is_mail = mqueue_name_is_mail,
    .origin = mqueue_origin,
    .read_record = mqueue_read_record,
    .move_prepare = mqueue_move_prepare,
    .move_commit = mqueue_move_nothing,
    .move_abandon = mqueue_move_nothing,
    .single_directory = true,
    .name_is_in = mqueue_name_is_in,
    .is_in_place = mqueue_is_in_place,
    .synced = mqueue_synced,
    .sweep = mqueue_sweep,
};
