#include "pickup/jobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/memory.h"
#include "lib/service.h"
#include "lib/text.h"
#include "pickup/bases.h"
#include "pickup/turns.h"
#include "queue/control_details.h"
#include "queue/mqueue.h"

/* Octets of details in one message. */
#define PART 60000

struct jobs {
    struct turn turn;
    char letter;
    DIR *names;
};

static struct turns turns;

static void
end(struct turn *turn, const char *problem)
{
    struct jobs *jobs = (struct jobs *)turn;

    service_send(service_peer(ROLE_CONTROL, 0),
        &(struct message){.type = MESSAGE_JOBS_END,
            .jobs_end = {.request = jobs->turn.request, .problem = problem}});
    if (jobs->names != NULL)
        closedir(jobs->names);
    turns_remove(&turns, turn);
    free(jobs);
}

/* How many of SIZE octets of details, which are over PART, fit into one message: whole lines. */
static size_t
measure_part(const char *details, size_t size)
{
    size_t used = 0;

    for (;;) {
        size_t line = strlen(details + used) + 1;

        if (used + line > PART || used + line > size)
            return used;
        used += line;
    }
}

static void
send_job(struct message_queue_job job, const char *details, size_t size)
{
    struct message message = {.type = MESSAGE_QUEUE_JOB, .queue_job = job};

    do {
        size_t part = size > PART ? measure_part(details, size) : size;

        message.queue_job.details = (struct bytes){details, part};
        message.queue_job.more = part < size;
        service_send(service_peer(ROLE_CONTROL, 0), &message);
        details += part;
        size -= part;
    } while (size > 0);
}

/* Octets of the data file beside the control file NAME; -1: there is none. */
static int64_t
measure_data(const struct jobs *jobs, const char *name)
{
    char data[QUEUE_NAME_SIZE];
    struct stat status;

    text_format(data, sizeof(data), "df%s", name + 2);
    if (fstatat(dirfd(jobs->names), data, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    return (int64_t)status.st_size;
}

/* Nothing of it is read. */
static void
list_irregular(struct jobs *jobs, const char *name)
{
    jobs->turn.room--;
    send_job(
        (struct message_queue_job){
            .request = jobs->turn.request, .name = name, .irregular = true, .size = -1},
        "", 0);
}

static void
list_job(struct jobs *jobs, const char *name)
{
    int descriptor =
        openat(dirfd(jobs->names), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct message_queue_job job = {.request = jobs->turn.request, .name = name};
    struct stat status;
    char *text;
    char *details;
    ssize_t length;

    if (descriptor < 0) {
        if (errno == ELOOP || errno == ENXIO)
            list_irregular(jobs, name);
        return;
    }
    if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_size > CONTROL_FILE_SIZE_MAX) {
        close(descriptor);
        if (!S_ISREG(status.st_mode))
            list_irregular(jobs, name);
        return;
    }
    job.size = measure_data(jobs, name);
    job.locked = mqueue_is_locked(descriptor);
    text = memory_new((size_t)status.st_size + 1, 1);
    details = memory_new((size_t)status.st_size + 2, 1);
    length = pread(descriptor, text, (size_t)status.st_size, 0);
    close(descriptor);
    jobs->turn.room--;
    send_job(job, details,
        control_details_make(
            text, length > 0 ? (size_t)length : 0, details, (size_t)status.st_size + 2));
    free(text);
    free(details);
}

static bool
is_name(const struct jobs *jobs, const char *name)
{
    size_t length = strlen(name);

    return name[0] == jobs->letter && name[1] == 'f' && length > 2 && length < MQUEUE_ID_SIZE - 2;
}

/* False where the listing is over. */
static bool
step(struct turn *turn)
{
    struct jobs *jobs = (struct jobs *)turn;
    const struct dirent *entry;

    errno = 0;
    entry = readdir(jobs->names);
    if (entry == NULL) {
        end(turn, errno != 0 ? strerror(errno) : "");
        return false;
    }
    if (is_name(jobs, entry->d_name))
        list_job(jobs, entry->d_name);
    return true;
}

static struct turns turns = {.step = step, .end = end};

void
jobs_open(void)
{
    turns_open(&turns);
}

/* Opens the directory anew, for a descriptor has one place in it. */
static bool
open_names(struct jobs *jobs, uint32_t queue, struct error *error)
{
    const struct base *base = bases_get(queue);
    int descriptor;

    if (base == NULL || base->queue == NULL || !mqueue_is_kind(base->queue))
        return error_set(error, "%s",
            base != NULL && base->problem[0] != '\0' ? base->problem
                                                     : "the queue cannot be used now");
    descriptor = openat(queue_descriptor(base->queue), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    jobs->names = descriptor >= 0 ? fdopendir(descriptor) : NULL;
    if (jobs->names != NULL)
        return true;
    error_errno(error, "read the directory %s", queue_path(base->queue));
    if (descriptor >= 0)
        close(descriptor);
    return false;
}

void
jobs_handle(struct channel *from, const struct message *message)
{
    struct jobs *jobs = memory_new(1, sizeof(*jobs));
    struct error error;

    (void)from;
    jobs->turn.request = message->list_jobs.request;
    jobs->letter = (char)(message->list_jobs.letter & 0x7F);
    turns_add(&turns, &jobs->turn);
    if (!open_names(jobs, message->list_jobs.queue, &error)) {
        error.text[500] = '\0';
        end(&jobs->turn, error.text);
    }
}

void
jobs_handle_room(struct channel *from, const struct message *message)
{
    (void)from;
    turns_give_room(&turns, message->jobs_room.request, message->jobs_room.count);
}

void
jobs_handle_cancel(struct channel *from, const struct message *message)
{
    (void)from;
    turns_cancel(&turns, message->jobs_cancel.request);
}

void
jobs_cancel_all(void)
{
    turns_cancel_all(&turns);
}
