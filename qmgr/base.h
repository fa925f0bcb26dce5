/*
 * A base, as qmgr sees it: how many of its mails may be in hand, and its lanes, one for each
 * account that its mails are sent from.
 */
#ifndef SMAILER_QMGR_BASE_H
#define SMAILER_QMGR_BASE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/channel.h"
#include "qmgr/job.h"
#include "qmgr/pace.h"
#include "queue/queue.h"

struct account;
struct recorder;

/* The mails of one base that wait for one account. */
struct lane {
    TAILQ_ENTRY(lane) in_account; /* in the account's ring, while it has jobs */
    struct lane *next; /* of the base */
    struct account *account;
    struct base *base;
    struct job_list jobs;
    uint32_t count;
    struct pace pace; /* of the jobs that leave it */
    uint32_t parked; /* at pickup */
    bool in_ring;
    bool held; /* its finder was told that they wait for a quota */
    uint32_t wanted; /* of these, asked for and not here yet */
    int64_t wanted_at; /* when they were asked for: ms, monotonic */
};

struct base {
    uint32_t number; /* in the configuration's queues */
    const struct queue_settings *settings;
    const struct recorder *recorder; /* what becomes of its mails is written down by that */
    struct queue *queue; /* of a directory; NULL: it cannot be used now */
    int64_t lease_until; /* ms, monotonic: no mail is begun after that */
    uint32_t lease; /* how often the rows in hand were lost to others */
    uint32_t in_hand;
    uint32_t standing; /* of these, such as stand at workers that do not get on */
    uint32_t committing; /* of these, such as the committer has */
    uint32_t stuck; /* of these, such whose own file cannot be moved */
    uint32_t granted; /* room at pickup that was not used yet */
    struct lane *lanes;
    char problem[500];
    char alone[500]; /* files there that belong to no mail */
};

void bases_open(void);
struct base *bases_get(uint32_t number); /* NULL beyond the last */

/* True where BASE is a queue of sendmail's. */
bool base_is_mqueue(const struct base *base);

/* True where it is smailer's own, for notices. */
bool base_is_internal(const struct base *base);

/* Who finds BASE's mails; NULL where that program is not there now. */
struct channel *base_finder(const struct base *base);

/* False where JOB may be another host's by now, or may soon be, or its queue does not work. */
bool base_may_begin(const struct base *base, const struct job *job);

/* What is claimed is sure until UNTIL (ms, monotonic); 0: what is in hand is not any more. */
void base_note_lease(struct base *base, int64_t until);

/* Until when a mail of BASE must be begun by whom it is given to now, in ms of the monotonic clock;
 * 0: there is no such time. BASE may be NULL. */
int64_t base_begin_until(const struct base *base);

/* The lane of BASE for ACCOUNT, made where there is none. */
struct lane *base_lane(struct base *base, struct account *account);

/* A mail came into hand, or leaves it. */
void base_note_job(const struct job *job);
void base_note_end(const struct job *job);

/* JOB is in PHASE from now on. What only waits for the disk takes no room from what could be sent
 * meanwhile. */
void base_enter_phase(struct job *job, enum job_phase phase);

/* Of what is in hand, a mail of BASE stands at a worker that does not get on: it takes no room from
 * others. bases_forget_standing() begins the count anew. */
void bases_forget_standing(void);
void base_note_standing(struct base *base, uint64_t size);

/* True where the mails in hand are as many octets as they may be: slow lanes then keep hardly any.
 */
bool bases_are_full(void);

/* Grants pickup what room there is now, to all bases; nothing while DRAINING. */
void bases_grant(void);
void bases_stop_granting(void);

/* Mails in hand, of all bases. */
uint32_t bases_in_hand(void);

/* The queue cannot be used, for that reason; or can again (""). */
void base_note_problem(struct base *base, const char *problem);

/* The names of files in QUEUE that belong to no mail, with words, or "": status shows them. */
void base_note_alone(const struct queue *queue, const char *names);

#endif
