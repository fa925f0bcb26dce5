#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/service.h"
#include "qmgr/base.h"
#include "qmgr/intake.h"
#include "qmgr/job.h"
#include "qmgr/schedule.h"
#include "qmgr/trial.h"

#define CLEANUPS_MAX 65

/* Verdicts that may be ahead of their offers: more than all cleanups have room for is a lie. */
#define UNOFFERED_MOST 4096

/* The jobs that each cleanup has, in the order in which it got them; and what is known of its
 * end, for which two things must have come: the end of its channel, and master's word. */
static struct {
    struct job_list jobs;
    bool left;
    bool gone;
    bool fault;
} cleanups[CLEANUPS_MAX];

void
intake_open(void)
{
    for (size_t i = 0; i < CLEANUPS_MAX; i++)
        TAILQ_INIT(&cleanups[i].jobs);
}

static void
leave_cleanup(struct job *job)
{
    if (!job->waits_at_cleanup)
        return;
    TAILQ_REMOVE(&cleanups[job->cleanup].jobs, job, at_cleanup);
    job->waits_at_cleanup = false;
}

static bool
is_sane(const struct message_offer *offer)
{
    return bases_get(offer->queue) != NULL && offer->cleanup < CLEANUPS_MAX &&
           (offer->state == MAIL_WAITING || offer->state == MAIL_DEFERRED) &&
           (offer->job & TRIAL_BIT) == 0 && offer->name[0] != '\0' &&
           strchr(offer->name, '/') == NULL;
}

void
intake_handle_offer(struct channel *from, const struct message *message)
{
    const struct message_offer *offer = &message->offer;
    struct job *job;

    (void)from;
    if (!is_sane(offer)) {
        log_error("pickup offers a mail that cannot be: job %" PRIu64, offer->job);
        return;
    }
    job = job_get(offer->job);
    if (job->offered) {
        log_error("pickup offers job %" PRIu64 " twice", offer->job);
        return;
    }
    job_take_offer(job, bases_get(offer->queue), offer);
    base_note_job(job->base, job->identity.size);
    if (job->judged || job->problem != NULL) {
        job->judged = true;
        schedule_job(job);
        return;
    }
    TAILQ_INSERT_TAIL(&cleanups[job->cleanup].jobs, job, at_cleanup);
    job->waits_at_cleanup = true;
}

void
intake_handle_verdict(struct channel *from, const struct message *message)
{
    const struct message_verdict *verdict = &message->verdict;
    struct job *job = job_get(verdict->job);

    if (job->judged || verdict->verdict > VERDICT_FAILED ||
        (job->offered && job->base != NULL && job->cleanup != channel_instance(from)) ||
        job_count_unoffered() > UNOFFERED_MOST) {
        log_error("cleanup[%u]: a verdict on job %" PRIu64 ", which it does not have",
            channel_instance(from), verdict->job);
        message_discard(message);
        if (!job->offered && !job->judged)
            job_free(job);
        return;
    }
    leave_cleanup(job);
    job_take_verdict(job, verdict);
    if (job->number & TRIAL_BIT)
        trial_judged(job);
    else if (job->offered)
        schedule_job(job);
}

/* The one it was at gets the strike, if it was a fault; the others are offered again. */
static void
settle(uint32_t instance)
{
    struct job *job;
    bool fault = cleanups[instance].fault;

    if (!cleanups[instance].left || !cleanups[instance].gone)
        return;
    while ((job = TAILQ_FIRST(&cleanups[instance].jobs)) != NULL) {
        leave_cleanup(job);
        if (fault)
            finish_struck(job, "smailer-cleanup died with it in hand");
        else
            finish_untouched(job, JOB_AGAIN, 0);
        fault = false;
    }
    cleanups[instance].left = false;
    cleanups[instance].gone = false;
}

void
intake_handle_gone(struct channel *from, const struct message *message)
{
    uint32_t instance = message->gone.instance;

    (void)from;
    if (message->gone.role != ROLE_CLEANUP || instance >= CLEANUPS_MAX)
        return;
    cleanups[instance].gone = true;
    cleanups[instance].fault = message->gone.fault != 0;
    settle(instance);
}

void
intake_cleanup_left(struct channel *channel)
{
    uint32_t instance = channel_instance(channel);

    if (instance >= CLEANUPS_MAX)
        return;
    cleanups[instance].left = true;
    settle(instance);
}
