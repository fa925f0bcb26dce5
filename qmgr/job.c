#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/log.h"
#include "lib/memory.h"
#include "lib/sealed.h"
#include "lib/text.h"
#include "qmgr/base.h"
#include "qmgr/job.h"
#include "qmgr/mqueue.h"

#define TABLE_SIZE 4096

LIST_HEAD(job_chain, job);

static struct {
    struct job_chain chains[TABLE_SIZE];
} jobs;

static struct job_chain *
chain_of(uint64_t number)
{
    return &jobs.chains[number % TABLE_SIZE];
}

struct job *
job_find(uint64_t number)
{
    struct job *job;

    LIST_FOREACH(job, chain_of(number), same_hash)
    {
        if (job->number == number)
            return job;
    }
    return NULL;
}

struct job *
job_new(uint64_t number)
{
    struct job *job = memory_new(1, sizeof(*job));

    job->number = number;
    job->content = -1;
    job->encoded = -1;
    return job;
}

void
job_enter(struct job *job)
{
    job->entered = true;
    LIST_INSERT_HEAD(chain_of(job->number), job, same_hash);
}

void
job_free(struct job *job)
{
    if (job->entered)
        LIST_REMOVE(job, same_hash);
    if (job->content >= 0)
        close(job->content);
    if (job->encoded >= 0)
        close(job->encoded);
    free(job->small);
    free(job->account);
    free(job->envelope_id);
    free(job->auth);
    free(job->details);
    free(job->outcomes);
    free(job->problem);
    free(job->sender);
    free(job->recipients);
    free(job->reason);
    free(job);
}

/* The id tells when the mail was written, which the verdict says, or else its file does. Both
 * halves are needed, in whatever order they come. */
static void
set_id(struct job *job)
{
    int64_t written =
        job->written != 0 ? job->written : job->identity.mtime_ns / INT64_C(1000000000);

    if (job->base != NULL)
        mail_id_format(job->id, sizeof(job->id), (time_t)written, job->hash);
    else
        text_format(job->id, sizeof(job->id), "test");
}

void
job_take_offer(struct job *job, struct base *base, const struct message_offer *offer)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    job->base = base;
    job->identity.place = (enum mail_state)offer->state;
    strlcpy(job->identity.name, offer->name, sizeof(job->identity.name));
    job->identity.device = offer->device;
    job->identity.inode = offer->inode;
    job->identity.size = offer->size;
    job->identity.mtime_ns = offer->mtime_ns;
    if (offer->order != 0)
        job->order = offer->order;
    job->hash = offer->hash;
    job->cleanup = offer->cleanup;
    job->incarnation = offer->incarnation;
    job->strikes = offer->strikes;
    job->run = offer->run;
    job->attempts = offer->attempts;
    job->lease = base->lease;
    job->arrived_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (offer->problem[0] != '\0')
        job->problem = memory_copy_text(offer->problem);
    set_id(job);
}

static char *
copy_bytes(const struct bytes *bytes)
{
    char *copy = memory_new(1, bytes->size + 1);

    if (bytes->size > 0)
        memcpy(copy, bytes->data, bytes->size);
    return copy;
}

void
job_take_verdict(struct job *job, const struct message_verdict *verdict)
{
    job->judged = true;
    job->verdict = (enum parse_verdict)verdict->verdict;
    job->flags = verdict->flags;
    job->sender = memory_copy_text(verdict->sender);
    job->recipients = copy_bytes(&verdict->recipients);
    job->recipients_size = verdict->recipients.size;
    job->reason = memory_copy_text(verdict->reason);
    job->content = verdict->content;
    if (verdict->small.size > 0)
        job->small = copy_bytes(&verdict->small);
    job->small_size = verdict->small.size;
    job->encoded = verdict->encoded;
    job->account =
        memory_copy_text(verdict->account[0] != '\0' ? verdict->account : verdict->sender);
    job->envelope_id = memory_copy_text(verdict->envelope_id);
    job->auth = memory_copy_text(verdict->auth);
    job->deliver_by = verdict->deliver_by;
    job->details = copy_bytes(&verdict->details);
    job->details_size = verdict->details.size;
    if (job->order == 0)
        job->order = verdict->time;
    job->written = verdict->time;
    set_id(job);
    if (base_is_mqueue(job->base) || job->base == NULL)
        mqueue_note_problems(job, &verdict->problems);
}

int
job_content(struct job *job)
{
    struct error error;

    if (job->content < 0 && job->small != NULL) {
        job->content = sealed_create("mail", job->small, job->small_size, &error);
        if (job->content < 0)
            log_error("%s: %s", job->id, error.text);
    }
    return job->content;
}

char *
job_format_recipients(const struct job *job, char *target, size_t size)
{
    size_t used = 0;

    target[0] = '\0';
    for (size_t at = 0; at < job->recipients_size && used < size;
         at += strlen(job->recipients + at) + 1)
        used += (size_t)snprintf(
            target + used, size - used, "%s<%s>", at > 0 ? ", " : "", job->recipients + at);
    return target;
}
