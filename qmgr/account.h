/*
 * An account at work: the mails that wait for it, its connections, and how its relay is.
 */
#ifndef SMAILER_QMGR_ACCOUNT_H
#define SMAILER_QMGR_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "qmgr/base.h"
#include "qmgr/concurrency.h"
#include "qmgr/health.h"
#include "qmgr/quota.h"
#include "qmgr/share.h"
#include "qmgr/worker.h"

struct account {
    TAILQ_ENTRY(account) in_turns; /* in the order in which they last got a connection */
    uint32_t number; /* in the configuration's accounts */
    const struct account_settings *settings;
    TAILQ_HEAD(, lane) ring; /* lanes with jobs; the first is the next to be served */
    struct job_list suspects; /* jobs with strikes: each goes alone */
    struct job_list shown; /* jobs of a run that is watched */
    uint32_t queued;
    uint32_t in_hand; /* with workers */
    TAILQ_HEAD(, worker) workers;
    uint32_t worker_count;
    uint32_t lost; /* workers in a row that ended before they could tell of a connection */
    struct health health;
    struct concurrency concurrency;
    double mail_ms; /* how long its relay takes for a mail, the mean of the last ones */
    struct quota quota;
    struct quota_limits limits;
    struct share share;
    uint32_t wanted; /* mails that pickup was asked for and that are not here yet */
    uint64_t sent; /* since the generation began, as the next two */
    uint64_t deferred;
    uint64_t dropped;
    uint64_t minute_sent[2]; /* in this minute, and in the one before */
    int64_t minute; /* which one this is */
};

void accounts_open(void);
struct account *accounts_get(uint32_t number); /* NULL beyond the last */

/* The account that has waited longest for its last connection; and the one after it, or NULL. */
struct account *accounts_first(void);
struct account *account_after(const struct account *account);

/* It got a connection: the others' turn comes before its next one. */
void account_had_turn(struct account *account);

/* The account that SENDER's mails from BASE (NULL: from nowhere, a test) go through. NULL where it
 * has none, or none that BASE may use; REASON (SIZE octets) says which. */
struct account *account_choose(
    const char *sender, const struct base *base, char *reason, size_t size);

/* Puts JOB at the end of its lane, or, where it comes back untried, at the front. */
void account_queue(struct account *account, struct job *job, bool first);

/* Takes the next job, lane by lane; NULL where there is none. */
struct job *account_take(struct account *account);

/* The same for a job with strikes, and for one that is shown. */
struct job *account_take_suspect(struct account *account);
struct job *account_take_shown(struct account *account);

/* How many mails may begin now, by its quotas: UINT32_MAX for any number. */
uint32_t account_room(struct account *account);

/* The same without regard to the pause between two. */
uint32_t account_left(struct account *account);

/* Learns from a mail that took a worker so many ms. */
void account_note_time(struct account *account, int64_t milliseconds);

/* True where mails are over so soon that it costs nobody anything to wait behind one. */
bool account_is_fast(const struct account *account);

/* Counts what became of a mail. */
void account_count(struct account *account, enum outcome outcome);

/* Mails sent in the last full minute or, where that is more, in this one so far. */
uint64_t account_rate(struct account *account);

/* Handing on to the next generation: who is down until when. The descriptor is the caller's. */
int accounts_write_inheritance(void);
void accounts_read_inheritance(int descriptor);

#endif
