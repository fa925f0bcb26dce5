#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/job_number.h"
#include "lib/log.h"
#include "lib/mark.h"
#include "lib/service.h"
#include "qmgr/base.h"
#include "qmgr/intake.h"
#include "qmgr/job.h"
#include "qmgr/parking.h"
#include "qmgr/schedule.h"
#include "qmgr/trial.h"

#define CLEANUPS_MAX 65

/* Verdicts of one cleanup that may be ahead of their offers. It has room anew as soon as it sent
 * one, so that many offers may still be in pickup's pipe; more than all bases may have is a lie. */
#define AHEAD_MOST 4096

/* Faults are remembered for so many ends of one cleanup that are not known in full yet. */
#define ENDS 16

/* The jobs that each cleanup has, in the order in which it got them. Of its ends (the first process
 * of an instance is incarnation 1) two things must be known before its jobs can be dealt with: its
 * channel was read to its end, and master's word. */
static struct {
    struct job_list jobs;
    struct job_list ahead; /* verdicts whose offer is yet to come; nobody else's offer finds them */
    uint32_t ahead_count;
    uint32_t left; /* so many channels were read to their end */
    uint32_t gone; /* so many ends master told of */
    uint32_t ended; /* so many are known in full */
    bool fault[ENDS];
    struct mark *mark; /* of the process whose channel is open */
    uint64_t at[ENDS]; /* what it said when the channel was read to its end */
} cleanups[CLEANUPS_MAX];

void
intake_open(void)
{
    for (size_t i = 0; i < CLEANUPS_MAX; i++) {
        TAILQ_INIT(&cleanups[i].jobs);
        TAILQ_INIT(&cleanups[i].ahead);
    }
}

static struct job *
find_ahead(uint32_t instance, uint64_t number)
{
    struct job *job;

    TAILQ_FOREACH(job, &cleanups[instance].ahead, at_cleanup)
    {
        if (job->number == number)
            return job;
    }
    return NULL;
}

/* Takes the verdict that cleanup INSTANCE gave on the job already; NULL where it did not. */
static struct job *
take_ahead(uint32_t instance, uint64_t number)
{
    struct job *job = find_ahead(instance, number);

    if (job == NULL)
        return NULL;
    TAILQ_REMOVE(&cleanups[instance].ahead, job, at_cleanup);
    cleanups[instance].ahead_count--;
    return job;
}

struct job *
intake_take_trial(uint64_t number)
{
    struct job *job = NULL;

    for (uint32_t i = 0; i < CLEANUPS_MAX && job == NULL; i++)
        job = take_ahead(i, number);
    return job;
}

static void
leave_cleanup(struct job *job)
{
    if (!job->waits_at_cleanup)
        return;
    TAILQ_REMOVE(&cleanups[job->cleanup].jobs, job, at_cleanup);
    job->waits_at_cleanup = false;
}

/* A finder speaks of its own bases, with its own numbers. */
static bool
is_of(const struct channel *from, const struct message_offer *offer)
{
    const struct base *base = bases_get(offer->queue);

    return base != NULL && base_finder(base) == from &&
           (offer->job & JOB_FINDER_MASK) == job_finder(channel_peer(from), channel_instance(from));
}

static bool
is_sane(const struct message_offer *offer)
{
    return offer->cleanup < CLEANUPS_MAX &&
           (offer->state == MAIL_WAITING || offer->state == MAIL_DEFERRED) &&
           (offer->job & JOB_TRIAL) == 0 && offer->name[0] != '\0' &&
           (offer->job & JOB_LISTING) == 0 &&
           ((offer->job & JOB_FINDER_MASK) != 0 || strchr(offer->name, '/') == NULL);
}

/* True where the job's cleanup died of its own fault while it was at it. */
static bool
is_culprit(const struct job *job)
{
    uint32_t end = job->incarnation % ENDS;

    return cleanups[job->cleanup].ended - job->incarnation < ENDS &&
           cleanups[job->cleanup].fault[end] && cleanups[job->cleanup].at[end] == job->number;
}

/* The job's cleanup ended, and there is no verdict: the others are offered again. */
static void
finish_unjudged(struct job *job)
{
    if (is_culprit(job))
        finish_struck(job, "smailer-cleanup died with it in hand");
    else
        finish_untouched(job, JOB_AGAIN, 0);
}

void
intake_handle_offer(struct channel *from, const struct message *message)
{
    const struct message_offer *offer = &message->offer;
    struct job *job;

    if (!is_of(from, offer) || !is_sane(offer)) {
        log_error("%s offers a mail that cannot be: job %" PRIu64, role_name(channel_peer(from)),
            offer->job);
        return;
    }
    if (job_find(offer->job) != NULL) {
        log_error("%s offers job %" PRIu64 " twice", role_name(channel_peer(from)), offer->job);
        return;
    }
    job = take_ahead(offer->cleanup, offer->job);
    if (job == NULL)
        job = job_new(offer->job);
    job_enter(job);
    job_take_offer(job, bases_get(offer->queue), offer);
    base_note_job(job);
    if (offer->unparked > 0)
        parking_note_unparked(job->base, offer->unparked - 1, 1);
    if (job->judged || job->problem != NULL) {
        job->judged = true;
        schedule_job(job);
        return;
    }
    /* It was given to a cleanup that had ended already. */
    if (job->incarnation <= cleanups[job->cleanup].ended) {
        finish_unjudged(job);
        return;
    }
    TAILQ_INSERT_TAIL(&cleanups[job->cleanup].jobs, job, at_cleanup);
    job->waits_at_cleanup = true;
}

void
intake_handle_unparked(struct channel *from, const struct message *message)
{
    struct base *base = bases_get(message->unparked.queue);

    if (base != NULL && base_finder(base) == from)
        parking_note_unparked(base, message->unparked.account, message->unparked.count);
}

/* True where cleanup INSTANCE may judge the job, which is JOB where it was offered already. */
static bool
may_judge(uint32_t instance, const struct message_verdict *verdict, const struct job *job)
{
    if (instance >= CLEANUPS_MAX || verdict->verdict > VERDICT_FAILED)
        return false;
    if (job == NULL)
        return cleanups[instance].ahead_count < AHEAD_MOST &&
               find_ahead(instance, verdict->job) == NULL;
    return !job->judged && (job->base == NULL || job->cleanup == instance);
}

static void
keep_ahead(uint32_t instance, const struct message_verdict *verdict)
{
    struct job *job = job_new(verdict->job);

    job_take_verdict(job, verdict);
    TAILQ_INSERT_TAIL(&cleanups[instance].ahead, job, at_cleanup);
    cleanups[instance].ahead_count++;
}

void
intake_handle_verdict(struct channel *from, const struct message *message)
{
    const struct message_verdict *verdict = &message->verdict;
    struct job *job = job_find(verdict->job);

    if (!may_judge(channel_instance(from), verdict, job)) {
        log_error("cleanup[%u]: a verdict on job %" PRIu64 ", which it does not have",
            channel_instance(from), verdict->job);
        message_discard(message);
        return;
    }
    if (job == NULL) {
        keep_ahead(channel_instance(from), verdict);
        return;
    }
    leave_cleanup(job);
    job_take_verdict(job, verdict);
    if (job->base == NULL)
        trial_judged(job);
    else
        schedule_job(job);
}

/* What a cleanup that ended said of jobs that nobody offered: an offer that still comes is not
 * taken. */
static void
drop_ahead(uint32_t instance)
{
    struct job *job;

    while ((job = TAILQ_FIRST(&cleanups[instance].ahead)) != NULL)
        job_free(take_ahead(instance, job->number));
}

static void
end_incarnation(uint32_t instance, uint32_t incarnation)
{
    struct job *job = TAILQ_FIRST(&cleanups[instance].jobs);

    drop_ahead(instance);
    while (job != NULL) {
        struct job *after = TAILQ_NEXT(job, at_cleanup);

        if (job->incarnation <= incarnation) {
            leave_cleanup(job);
            finish_unjudged(job);
        }
        job = after;
    }
}

static void
settle(uint32_t instance)
{
    while (cleanups[instance].ended < cleanups[instance].left &&
           cleanups[instance].ended < cleanups[instance].gone)
        end_incarnation(instance, ++cleanups[instance].ended);
}

void
intake_handle_gone(struct channel *from, const struct message *message)
{
    uint32_t instance = message->gone.instance;

    (void)from;
    if (message->gone.role != ROLE_CLEANUP || instance >= CLEANUPS_MAX)
        return;
    cleanups[instance].gone++;
    cleanups[instance].fault[cleanups[instance].gone % ENDS] = message->gone.fault != 0;
    settle(instance);
}

void
intake_handle_at_work(struct channel *from, const struct message *message)
{
    uint32_t instance = channel_instance(from);
    struct error error;

    if (instance < CLEANUPS_MAX && cleanups[instance].mark == NULL) {
        cleanups[instance].mark = mark_open(message->at_work.mark, &error);
        if (cleanups[instance].mark == NULL)
            log_error("cleanup[%u]: %s", instance, error.text);
    }
    message_discard(message);
}

void
intake_cleanup_left(struct channel *channel)
{
    uint32_t instance = channel_instance(channel);

    if (instance >= CLEANUPS_MAX)
        return;
    cleanups[instance].left++;
    cleanups[instance].at[cleanups[instance].left % ENDS] = mark_get(cleanups[instance].mark);
    mark_close(cleanups[instance].mark);
    cleanups[instance].mark = NULL;
    settle(instance);
}
