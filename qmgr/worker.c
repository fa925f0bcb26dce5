#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "qmgr/account.h"
#include "qmgr/finish.h"
#include "qmgr/mqueue.h"
#include "qmgr/schedule.h"
#include "qmgr/show.h"
#include "qmgr/trial.h"
#include "qmgr/worker.h"
#include "qmgr/workers.h"

/* A mail whose connection broke so often before it was tried is deferred. */
#define RETURNS_MOST 3

/* So many workers in a row that end before they are connected are treated as a relay that is down.
 * One alone, which may have died of anything, says nothing of the relay. */
#define LOST_MOST 3

/* So long has another program to take the place of a worker that was stopped for it. */
#define YIELD_MS 500

/* A worker that hung is trusted again after a mail that took less than this. */
#define QUICK_MS 250

static struct worker *
add(struct account *account, enum worker_kind kind, uint32_t place)
{
    struct worker *worker = memory_new(1, sizeof(*worker));

    worker->account = account;
    worker->kind = kind;
    worker->place = place;
    worker->started_at = clock_monotonic_ms();
    TAILQ_INIT(&worker->jobs);
    TAILQ_INSERT_TAIL(&account->workers, worker, in_account);
    account->worker_count++;
    workers_add(worker);
    return worker;
}

struct worker *
worker_start(struct account *account, enum worker_kind kind)
{
    struct channel *smtp = service_peer(ROLE_SMTP, 0);
    struct worker *worker;
    struct error error;
    uint32_t place;
    int ends[2];

    if (smtp == NULL)
        return NULL;
    place = share_take_connection(account);
    if (place == SHARE_NONE && kind != WORKER_TRIAL)
        return NULL;
    if (!channel_pair(ends, &error)) {
        log_error("start a worker: %s", error.text);
        share_release_connection(account, place);
        return NULL;
    }
    worker = add(account, kind, place);
    worker->channel = service_adopt(ends[0], ROLE_WORKER, worker->number);
    channel_set_context(worker->channel, worker);
    service_send(smtp, &(struct message){.type = MESSAGE_WORKER_START,
                           .worker_start = {.worker = worker->number,
                               .account = account->number,
                               .kind = kind,
                               .channel = ends[1]}});
    close(ends[1]);
    return worker;
}

/* The sender chose the account, which may have another one for the envelope. */
static const char *
envelope_sender(const struct account *account, const struct job *job)
{
    const char *sender = account->settings->envelope_from;

    return sender[0] != '\0' && job->sender[0] != '\0' ? sender : job->sender;
}

void
worker_deliver(struct worker *worker, struct job *job, struct quota_moment begun)
{
    int transcript = job->taken != NULL ? mqueue_open_transcript(job->taken) : -1;

    base_enter_phase(job, PHASE_DELIVERING);
    job->worker = worker;
    job->begun = begun;
    job->recalled = false;
    job->begin_until = base_begin_until(job->base);
    if (worker->in_hand == 0)
        worker->head_since = clock_monotonic_ms();
    TAILQ_INSERT_TAIL(&worker->jobs, job, next);
    worker->in_hand++;
    worker->account->in_hand++;
    worker->idle_since = 0;
    service_send(worker->channel, &(struct message){.type = MESSAGE_DELIVER,
                                      .deliver = {.job = job->number,
                                          .flags = job->flags,
                                          .arrived_ns = job->arrived_ns,
                                          .begin_until_ns = job->begin_until * 1000000,
                                          .id = job->id,
                                          .sender = envelope_sender(worker->account, job),
                                          .envelope_id = job->envelope_id,
                                          .auth = job->auth,
                                          .deliver_by = job->deliver_by,
                                          .recipients = {job->recipients, job->recipients_size},
                                          .details = {job->details, job->details_size},
                                          .small = {job->small, job->small_size},
                                          .content = job->content,
                                          .encoded = job->encoded,
                                          .transcript = transcript}});
    if (transcript >= 0)
        close(transcript);
}

/* Takes JOB out of its worker's hand. */
static void
take_back(struct job *job, bool handed_over)
{
    struct worker *worker = job->worker;

    share_end(worker->account, job->begun, handed_over);
    if (job == TAILQ_FIRST(&worker->jobs))
        worker->head_since = clock_monotonic_ms();
    TAILQ_REMOVE(&worker->jobs, job, next);
    worker->in_hand--;
    worker->account->in_hand--;
    job->worker = NULL;
    if (worker->in_hand == 0) {
        worker->alone = false;
        worker->idle_since = clock_monotonic_ms();
    }
}

void
worker_stop(struct worker *worker)
{
    if (worker->state == WORKER_STOPPING)
        return;
    worker->state = WORKER_STOPPING;
    worker->stopped_at = clock_monotonic_ms();
    service_send(worker->channel, &(struct message){.type = MESSAGE_STOP});
}

void
worker_handle_link_up(struct channel *from, const struct message *message)
{
    struct worker *worker = channel_context(from);

    strlcpy(worker->relay, message->link_up.relay, sizeof(worker->relay));
    worker->tells = message->link_up.tells;
    worker->room = message->link_up.room > 0 ? message->link_up.room : 1;
    if (worker->state == WORKER_CONNECTING)
        worker->state = WORKER_UP;
    worker->was_up = true;
    worker->told = true;
    worker->account->lost = 0;
    worker->idle_since = clock_monotonic_ms();
    if (worker->account->health.down) {
        concurrency_init(&worker->account->concurrency, worker->account->settings->connections);
        log_info("account %s: relay %s is well again", worker->account->settings->address,
            worker->relay);
    }
    health_note_success(&worker->account->health);
    if (worker->kind == WORKER_TRIAL)
        trial_link_up(worker);
    schedule_soon();
}

/* True where the job was given back for a reason that is not the relay's. */
static bool
is_blameless(const struct job *job)
{
    return job->recalled || (job->begin_until != 0 && clock_monotonic_ms() >= job->begin_until);
}

/* A job that was not tried goes back to its lane, but not for ever. */
static void
give_back(struct job *job, const struct attempt *attempt)
{
    struct account *account = job->worker->account;

    take_back(job, job->handed_over);
    if (job->base == NULL)
        trial_end(job, attempt);
    else if (job->told > 0)
        mqueue_finish(job);
    else if (!is_blameless(job) && ++job->returns > RETURNS_MOST)
        finish_attempt(job, attempt);
    else
        account_queue(account, job, true);
}

void
worker_handle_link_failed(struct channel *from, const struct message *message)
{
    struct worker *worker = channel_context(from);
    const struct message_link_failed *failed = &message->link_failed;
    struct attempt attempt = {.stage = (enum stage)failed->stage,
        .code = failed->code,
        .enhanced = failed->enhanced,
        .words = failed->words,
        .relay = failed->relay};
    bool was_up = worker->was_up;

    worker->told = true;
    worker->account->lost = 0;
    worker->state = WORKER_STOPPING;
    while (!TAILQ_EMPTY(&worker->jobs))
        give_back(TAILQ_FIRST(&worker->jobs), &attempt);
    if (worker->kind == WORKER_TRIAL)
        trial_link_failed(worker, &attempt);
    else if (worker->kind == WORKER_SHOWN)
        show_link_failed(worker, &attempt);
    else if (was_up)
        schedule_refused(worker->account);
    else
        schedule_connection_failed(worker->account, &attempt);
    schedule_soon();
}

/* True unless the relay has certainly not taken the mail. */
static bool
was_taken(const struct attempt *attempt)
{
    return attempt->stage == STAGE_UNKNOWN ||
           (attempt->stage == STAGE_CONTENT && attempt->code / 100 == 2);
}

/* What the relay's answer says of how many connections it bears. */
static void
learn(struct worker *worker, const struct attempt *attempt)
{
    struct account *account = worker->account;

    if (attempt->code == 421 && worker->state == WORKER_UP) {
        worker->state = WORKER_STOPPING; /* it is not one of those that are up */
        schedule_refused(account);
        worker->state = WORKER_UP;
    } else if (was_taken(attempt)) {
        concurrency_note_success(&account->concurrency, clock_monotonic_ms());
    }
}

static void
note_time(struct worker *worker, int64_t milliseconds)
{
    account_note_time(worker->account, milliseconds);
    if (milliseconds < QUICK_MS)
        worker->hung = false;
}

/* Until the mail is moved, or what became of its row is in the journal: a death before repeats it.
 */
static void
keep_place(struct worker *worker, struct job *job)
{
    job->recorded_for = worker->number;
    worker->unrecorded++;
}

void
worker_note_recorded(struct job *job)
{
    struct worker *worker = job->recorded_for != 0 ? workers_find(job->recorded_for) : NULL;

    job->recorded_for = 0;
    if (worker != NULL)
        worker->unrecorded--;
}

/* The relay has said what it has to say of JOB, ATTEMPT at last. */
static void
end_delivery(struct worker *worker, struct job *job, const struct attempt *attempt)
{
    learn(worker, attempt);
    note_time(worker, clock_monotonic_ms() - worker->head_since);
    take_back(job, job->handed_over || was_taken(attempt));
    if (job->base == NULL) {
        trial_end(job, attempt);
        return;
    }
    keep_place(worker, job);
    if (job->told > 0)
        mqueue_finish(job);
    else
        finish_attempt(job, attempt);
}

void
worker_handle_result(struct channel *from, const struct message *message)
{
    struct worker *worker = channel_context(from);
    const struct message_result *result = &message->result;
    struct job *job = job_find(result->job);
    struct attempt attempt = {.stage = (enum stage)result->stage,
        .code = result->code,
        .enhanced = result->enhanced,
        .words = result->words,
        .relay = worker->relay,
        .logged = true};

    if (job == NULL || job->worker != worker || job->phase != PHASE_DELIVERING) {
        log_error("worker %u: a result for job %" PRIu64 ", which it does not have", worker->number,
            result->job);
        return;
    }
    show_result(worker, job, result);
    if (base_is_mqueue(job->base) && !mqueue_note_result(job, result, worker))
        return;
    if (attempt.stage == STAGE_UNTRIED)
        give_back(job, &attempt);
    else
        end_delivery(worker, job, &attempt);
    schedule_soon();
}

void
worker_handle_dialogue(struct channel *from, const struct message *message)
{
    struct worker *worker = channel_context(from);
    struct message line = *message;

    show_spoken(worker, line.dialogue.line);
    line.dialogue.job = worker->trial_number;
    service_send(service_peer(ROLE_CONTROL, 0), &line);
}

/* What the worker still had, once nothing more can come from it. */
static void
settle_jobs(struct worker *worker)
{
    static const struct attempt BROKEN = {
        .stage = STAGE_CONNECT, .words = "the worker ended", .relay = "", .enhanced = ""};

    while (!TAILQ_EMPTY(&worker->jobs)) {
        struct job *job = TAILQ_FIRST(&worker->jobs);

        if (!worker->fault || job->base == NULL) {
            give_back(job, &BROKEN);
            continue;
        }
        take_back(job, true);
        finish_struck(job, "an smtp worker died with it in hand");
    }
}

/* Frees the worker when its channel is empty and its end is known. */
void
worker_settle(struct worker *worker)
{
    static const struct attempt DIED = {
        .stage = STAGE_CONNECT, .words = "the worker ended", .relay = "", .enhanced = ""};

    if (worker->channel != NULL || !worker->gone)
        return;
    settle_jobs(worker);
    if (worker->kind == WORKER_TRIAL)
        trial_link_failed(worker, &DIED);
    else if (worker->kind == WORKER_SHOWN)
        show_closed(worker, &DIED);
    else if (worker->lost && ++worker->account->lost >= LOST_MOST)
        schedule_connection_failed(worker->account, &DIED);
    share_release_connection(worker->account, worker->place);
    if (worker->yields)
        worker->account->share.yields_until = clock_monotonic_ms() + YIELD_MS;
    workers_remove(worker);
    TAILQ_REMOVE(&worker->account->workers, worker, in_account);
    worker->account->worker_count--;
    free(worker);
    schedule_soon();
}

void
worker_handle_gone(struct channel *from, const struct message *message)
{
    struct worker *worker = workers_find(message->worker_gone.worker);

    (void)from;
    if (worker == NULL)
        return;
    if (message->worker_gone.reason[0] != '\0')
        log_warn("worker %u of account %s ended: %s", worker->number,
            worker->account->settings->address, message->worker_gone.reason);
    worker->lost = !worker->told && message->worker_gone.reason[0] != '\0';
    worker->gone = true;
    worker->fault = message->worker_gone.fault != 0;
    worker->state = WORKER_STOPPING;
    worker_settle(worker);
}

void
worker_left(struct channel *channel)
{
    struct worker *worker = channel_context(channel);

    worker->channel = NULL;
    worker->state = WORKER_STOPPING;
    if (service_peer(ROLE_SMTP, 0) == NULL)
        worker->gone = true;
    worker_settle(worker);
}
