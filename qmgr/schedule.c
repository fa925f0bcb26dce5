#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <bsd/string.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/service.h"
#include "qmgr/account.h"
#include "qmgr/base.h"
#include "qmgr/mqueue.h"
#include "qmgr/parking.h"
#include "qmgr/quota_file.h"
#include "qmgr/schedule.h"
#include "qmgr/serve.h"
#include "qmgr/show.h"
#include "qmgr/workers.h"

/* The slower clock: idle workers, probes that are due, lanes that stand still. */
#define TICK_MS 100

/* How often the quotas are written down. */
#define WRITE_MS 1000

/* A file that does not parse and was written to within this time may still be in the writing. */
#define WRITING_MS 60000

/* How long a file is left alone that could not be read. */
#define FAILED_AGAIN_MS 10000

static struct {
    struct event *soon;
    struct event *tick;
    int64_t written_at; /* ms, monotonic: the quotas */
    bool planned;
    bool draining;
    bool drained;
    uint32_t run; /* the last run, and whom it is for */
    bool run_force;
    char run_sender[321];
} schedule;

static const struct settings *
settings(void)
{
    return &service_configuration()->settings;
}

void
schedule_soon(void)
{
    if (schedule.planned)
        return;
    schedule.planned = true;
    service_timer_start(schedule.soon, 0);
}

/* True where a connection is there, or may still come. One whose worker only ends brings nothing.
 */
static bool
has_connection(const struct account *account)
{
    const struct worker *worker;

    TAILQ_FOREACH(worker, &account->workers, in_account)
    {
        if (worker->state != WORKER_STOPPING)
            return true;
    }
    return false;
}

/* With the relay down, a mail is deferred at once with the probe's words; while a probe is due or
 * under way, it waits for what that brings. */
static bool
is_hopeless(const struct account *account)
{
    return account->health.down && !health_allows(&account->health, clock_now_ms()) &&
           !has_connection(account);
}

static void
defer_with_probe(struct account *account, struct job *job)
{
    const struct health *health = &account->health;
    const struct attempt attempt = {.stage = health->stage,
        .code = health->code,
        .enhanced = health->enhanced,
        .words = health->words,
        .relay = health->relay};

    finish_attempt(job, &attempt);
}

/* A mail that can be sent goes into its lane. */
static void
enqueue(struct account *account, struct job *job)
{
    job->lane = base_lane(job->base, account);
    if (parking_holds(account)) {
        parking_park(job, true);
        return;
    }
    job->shown = show_wants(job);
    if (!job->shown && is_hopeless(account)) {
        defer_with_probe(account, job);
        return;
    }
    if (!job->shown && job->strikes == 0 && parking_is_full(job->lane)) {
        parking_park(job, false);
        return;
    }
    account_queue(account, job, false);
    schedule_soon();
}

/* True where the run that the mail was offered for does not want it: another sender's mail whose
 * time had not come, or any in a tree that serves that run alone. */
static bool
is_skipped(const struct job *job)
{
    if (job->run == 0 || job->run != schedule.run || schedule.run_sender[0] == '\0' ||
        strcasecmp(schedule.run_sender, job->sender) == 0)
        return false;
    return service_on_demand() || (schedule.run_force && job->identity.place == MAIL_DEFERRED);
}

static void
schedule_mail(struct job *job)
{
    char reason[512];
    struct account *account = account_choose(job->account, job->base, reason, sizeof(reason));

    if (is_skipped(job))
        finish_untouched(job, JOB_SKIPPED, 0);
    else if (base_is_mqueue(job->base) && job->recipients_size == 0)
        mqueue_finish(job);
    else if (account != NULL)
        enqueue(account, job);
    else if (settings()->unknown_sender == UNKNOWN_SENDER_DROP)
        finish_dropped(job, reason);
    else
        finish_deferred(job, reason);
}

/* A file that does not parse: cleanup cannot know whether it will. */
static void
schedule_unreadable(struct job *job)
{
    int64_t now = clock_now_ms();
    int64_t written = job->identity.mtime_ns / 1000000;

    if (job->identity.place != MAIL_WAITING || llabs(now - written) >= WRITING_MS) {
        finish_dropped(job, job->reason);
        return;
    }
    log_info("%s: %s: may still be in the writing: %s", job->id, job->identity.name, job->reason);
    finish_untouched(job, JOB_LATER, written + WRITING_MS + 1);
}

void
schedule_job(struct job *job)
{
    if (schedule.draining) {
        finish_untouched(job, JOB_AGAIN, 0);
        return;
    }
    if (base_is_mqueue(job->base) && job->taken == NULL) {
        mqueue_take_job(job, schedule.run_force && job->run != 0 && job->run == schedule.run);
        return;
    }
    if (job->problem != NULL) {
        finish_dropped(job, job->problem);
        return;
    }
    switch (job->verdict) {
    case VERDICT_MAIL:
    case VERDICT_NO_ACCOUNT:
        schedule_mail(job);
        break;
    case VERDICT_LIST:
        finish_split(job);
        break;
    case VERDICT_UNREADABLE:
        schedule_unreadable(job);
        break;
    case VERDICT_FAILED:
        log_warn("%s: %s: %s", job->id, job->identity.name, job->reason);
        finish_untouched(job, JOB_LATER, clock_now_ms() + FAILED_AGAIN_MS);
        break;
    case VERDICT_BAD:
        (base_is_mqueue(job->base) ? finish_deferred : finish_dropped)(job, job->reason);
        break;
    }
}

/* --- connections --- */

/* A connection failed that is not just the next of the same outage. */
static void
note_outage(struct account *account, const struct attempt *attempt)
{
    const struct health_gaps gaps = {settings()->probe_interval, settings()->retry_interval};

    health_note_failure(&account->health, &gaps, attempt->stage, clock_now_ms());
    account->health.code = attempt->code;
    strlcpy(account->health.enhanced, attempt->enhanced, sizeof(account->health.enhanced));
    strlcpy(account->health.relay, attempt->relay, sizeof(account->health.relay));
    strlcpy(account->health.words, attempt->words, sizeof(account->health.words));
    log_warn("account %s: relay %s: %s: next try in %ld s", account->settings->address,
        attempt->relay, attempt->words, (long)(account->health.interval / 1000));
}

bool
schedule_refused(struct account *account)
{
    const struct worker *worker;
    uint32_t up = 0;

    TAILQ_FOREACH(worker, &account->workers, in_account)
    up += worker->state != WORKER_STOPPING && worker->kind == WORKER_PLAIN;
    if (up == 0)
        return false;
    if (concurrency_note_refusal(&account->concurrency, up, clock_monotonic_ms()))
        log_info("account %s: the relay wants fewer connections: %" PRIu32 " at the most for now",
            account->settings->address, concurrency_allowed(&account->concurrency));
    return true;
}

void
schedule_connection_failed(struct account *account, const struct attempt *attempt)
{
    struct job *job;

    if (schedule_refused(account))
        return;
    if (!account->health.down || health_allows(&account->health, clock_now_ms()))
        note_outage(account, attempt);
    while ((job = account_take(account)) != NULL || (job = account_take_suspect(account)) != NULL)
        defer_with_probe(account, job);
}

/* What no worker has goes back as it was; what one has is finished. */
static void
release(struct account *account)
{
    struct job *job;

    while ((job = account_take(account)) != NULL || (job = account_take_suspect(account)) != NULL ||
           (job = account_take_shown(account)) != NULL)
        finish_untouched(job, JOB_AGAIN, 0);
}

static void
release_all(void)
{
    struct account *account;

    for (uint32_t i = 0; (account = accounts_get(i)) != NULL; i++)
        release(account);
}

static void
check_drained(void)
{
    int inheritance;

    if (!schedule.draining || schedule.drained || bases_in_hand() > 0 || workers_count() > 0)
        return;
    schedule.drained = true;
    finish_close();
    quota_file_write();
    inheritance = accounts_write_inheritance();
    service_drained(inheritance);
}

static void
on_soon(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    schedule.planned = false;
    if (schedule.draining) {
        release_all(); /* what a connection that broke gave back */
    } else {
        quota_file_look();
        serve_all();
        parking_refill();
    }
    bases_grant();
    check_drained();
}

static void
on_tick(evutil_socket_t descriptor, short what, void *context)
{
    (void)descriptor;
    (void)what;
    (void)context;
    finish_hear();
    parking_shorten();
    workers_recall();
    workers_note_standing();
    workers_stop_idle(schedule.draining);
    workers_share();
    /* Programs that run beside a master tell it at once what they have used up. */
    if (service_on_demand() || clock_monotonic_ms() - schedule.written_at >= WRITE_MS) {
        quota_file_write();
        schedule.written_at = clock_monotonic_ms();
    }
    schedule_soon();
    service_timer_start(schedule.tick, TICK_MS);
}

void
schedule_open(void)
{
    schedule.soon = service_timer(on_soon, NULL);
    schedule.tick = service_timer(on_tick, NULL);
    service_timer_start(schedule.tick, TICK_MS);
}

void
schedule_begin_run(uint32_t run, bool force, const char *sender)
{
    struct account *account;

    schedule.run = run;
    schedule.run_force = force;
    strlcpy(schedule.run_sender, sender, sizeof(schedule.run_sender));
    for (uint32_t i = 0; force && (account = accounts_get(i)) != NULL; i++)
        health_probe_now(&account->health);
}

void
schedule_drain(void)
{
    if (schedule.draining)
        return;
    schedule.draining = true;
    bases_stop_granting();
    release_all();
    workers_stop_all();
    schedule_soon();
}
