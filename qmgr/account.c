#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/account.h"
#include "lib/clock.h"
#include "lib/memory.h"
#include "lib/service.h"
#include "lib/text.h"
#include "qmgr/account.h"

/* A mail that takes a relay less than this is worth nobody's while to be sent beside another. */
#define FAST_MS 4

/* How long a mail takes is assumed to be so much, before anything is known. */
#define UNKNOWN_MS 100

/* The mean is over about so many mails. */
#define TIMES 16

/* What a mail that hung adds to it at the most: it says little of the others. */
#define TIME_MOST_MS 1000

static struct {
    struct account *accounts;
    uint32_t count;
    TAILQ_HEAD(, account) turns;
} all;

void
accounts_open(void)
{
    const struct configuration *configuration = service_configuration();

    all.count = (uint32_t)configuration->account_count;
    all.accounts = memory_new(all.count, sizeof(*all.accounts));
    TAILQ_INIT(&all.turns);
    for (uint32_t i = 0; i < all.count; i++) {
        struct account *account = &all.accounts[i];

        account->number = i;
        account->settings = &configuration->accounts[i];
        account->limits = (struct quota_limits){account->settings->mails_per_minute,
            account->settings->mails_per_day, account->settings->delay};
        concurrency_init(&account->concurrency, account->settings->connections);
        account->mail_ms = UNKNOWN_MS;
        TAILQ_INSERT_TAIL(&all.turns, account, in_turns);
        TAILQ_INIT(&account->ring);
        TAILQ_INIT(&account->suspects);
        TAILQ_INIT(&account->shown);
        TAILQ_INIT(&account->workers);
    }
}

struct account *
accounts_get(uint32_t number)
{
    return number < all.count ? &all.accounts[number] : NULL;
}

struct account *
accounts_first(void)
{
    return TAILQ_FIRST(&all.turns);
}

struct account *
account_after(const struct account *account)
{
    return TAILQ_NEXT(account, in_turns);
}

void
account_had_turn(struct account *account)
{
    TAILQ_REMOVE(&all.turns, account, in_turns);
    TAILQ_INSERT_TAIL(&all.turns, account, in_turns);
}

struct account *
account_choose(const char *sender, const struct base *base, char *reason, size_t size)
{
    const struct configuration *configuration = service_configuration();
    const struct account_settings *settings = account_find(configuration, sender);

    if (settings == NULL) {
        text_format(reason, size, "there is no account for the sender %s", sender);
        return NULL;
    }
    if (base != NULL && !base_is_internal(base) &&
        !account_allows(settings, base->settings->sid, base->settings->section)) {
        text_format(reason, size, "the account %s is not for mails of %s/%s (sids)",
            settings->address, base->settings->section, base->settings->sid);
        return NULL;
    }
    return &all.accounts[settings - configuration->accounts];
}

/* Behind those that are as old or older; in an mqueue, that are as urgent. */
static void
insert(struct lane *lane, struct job *job)
{
    struct job *before = TAILQ_LAST(&lane->jobs, job_list);

    while (before != NULL && before->order > job->order)
        before = TAILQ_PREV(before, job_list, next);
    if (before != NULL)
        TAILQ_INSERT_AFTER(&lane->jobs, before, job, next);
    else
        TAILQ_INSERT_HEAD(&lane->jobs, job, next);
}

void
account_queue(struct account *account, struct job *job, bool first)
{
    struct lane *lane = job->lane;

    base_enter_phase(job, PHASE_QUEUED);
    account->queued++;
    if (job->shown) {
        TAILQ_INSERT_TAIL(&account->shown, job, next);
        return;
    }
    if (job->strikes > 0 || lane == NULL) {
        TAILQ_INSERT_TAIL(&account->suspects, job, next);
        return;
    }
    if (first)
        TAILQ_INSERT_HEAD(&lane->jobs, job, next);
    else
        insert(lane, job);
    if (lane->count++ == 0)
        pace_begin(&lane->pace, clock_monotonic_ms());
    if (lane->in_ring)
        return;
    lane->in_ring = true;
    TAILQ_INSERT_TAIL(&account->ring, lane, in_account);
}

struct job *
account_take(struct account *account)
{
    struct lane *lane = TAILQ_FIRST(&account->ring);
    struct job *job;

    if (lane == NULL)
        return NULL;
    job = TAILQ_FIRST(&lane->jobs);
    TAILQ_REMOVE(&lane->jobs, job, next);
    TAILQ_REMOVE(&account->ring, lane, in_account);
    lane->count--;
    account->queued--;
    pace_note(&lane->pace, clock_monotonic_ms());
    if (lane->count > 0)
        TAILQ_INSERT_TAIL(&account->ring, lane, in_account);
    else
        lane->in_ring = false;
    return job;
}

static struct job *
take_first(struct account *account, struct job_list *jobs)
{
    struct job *job = TAILQ_FIRST(jobs);

    if (job == NULL)
        return NULL;
    TAILQ_REMOVE(jobs, job, next);
    account->queued--;
    return job;
}

struct job *
account_take_suspect(struct account *account)
{
    return take_first(account, &account->suspects);
}

struct job *
account_take_shown(struct account *account)
{
    return take_first(account, &account->shown);
}

uint32_t
account_room(struct account *account)
{
    share_look(account);
    return quota_room(&account->quota, &account->limits, clock_now_ms(), clock_monotonic_ms());
}

uint32_t
account_left(struct account *account)
{
    share_look(account);
    return quota_left(&account->quota, &account->limits, clock_now_ms(), clock_monotonic_ms());
}

static void
turn_minute(struct account *account)
{
    int64_t minute = (int64_t)time(NULL) / 60;

    if (minute == account->minute)
        return;
    account->minute_sent[1] = minute == account->minute + 1 ? account->minute_sent[0] : 0;
    account->minute_sent[0] = 0;
    account->minute = minute;
}

void
account_note_time(struct account *account, int64_t milliseconds)
{
    if (milliseconds > TIME_MOST_MS)
        milliseconds = TIME_MOST_MS;
    account->mail_ms += ((double)milliseconds - account->mail_ms) / TIMES;
}

bool
account_is_fast(const struct account *account)
{
    return account->mail_ms < FAST_MS;
}

void
account_count(struct account *account, enum outcome outcome)
{
    turn_minute(account);
    if (outcome == OUTCOME_SENT) {
        account->sent++;
        account->minute_sent[0]++;
    } else if (outcome == OUTCOME_DEFERRED) {
        account->deferred++;
    } else {
        account->dropped++;
    }
}

uint64_t
account_rate(struct account *account)
{
    turn_minute(account);
    return account->minute_sent[0] > account->minute_sent[1] ? account->minute_sent[0]
                                                             : account->minute_sent[1];
}
