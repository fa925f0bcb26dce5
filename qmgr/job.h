/*
 * A mail in hand. It is known by its job number, from pickup's OFFER (who it is) and cleanup's
 * VERDICT (what is in it), which may come in either order.
 */
#ifndef SMAILER_QMGR_JOB_H
#define SMAILER_QMGR_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "lib/mail_id.h"
#include "lib/message.h"
#include "qmgr/quota.h"
#include "queue/queue.h"

struct base;
struct lane;
struct worker;
struct commit;

enum job_phase {
    PHASE_JUDGING, /* cleanup has it, or its offer is still to come */
    PHASE_QUEUED, /* in a lane */
    PHASE_DELIVERING, /* a worker has it */
    PHASE_COMMITTING, /* the committer has it */
    PHASE_NOTICE /* its sender is to be told, and cleanup writes what */
};

struct job {
    LIST_ENTRY(job) same_hash;
    TAILQ_ENTRY(job) next; /* in a lane, or a worker's hand */
    TAILQ_ENTRY(job) at_cleanup; /* in the order of the offers */
    uint64_t number;
    enum job_phase phase;
    bool entered; /* in the table of those in hand */
    bool judged;
    bool waits_at_cleanup; /* in the list of its cleanup */

    /* from the offer */
    struct base *base; /* NULL: a test mail of control's */
    struct mail_identity identity;
    uint64_t hash;
    uint32_t cleanup;
    uint32_t incarnation; /* of that cleanup */
    uint32_t strikes;
    uint32_t run;
    uint32_t attempts; /* of a row; a file has them beside it */
    uint32_t lease; /* of its base, when it came */
    int64_t arrived_ns; /* since 1970: when the offer came */
    char *problem; /* why it cannot be sent, or NULL */

    /* from the verdict */
    enum parse_verdict verdict;
    uint32_t flags;
    int64_t written; /* s since 1970: fld_time; 0: not known */
    char *sender;
    char *recipients; /* each with its NUL */
    size_t recipients_size;
    char *reason;
    char *small; /* the message, or NULL */
    size_t small_size;
    int content; /* the same in a memory file; -1: none */
    int encoded; /* the same in 7 bits, or -1 */
    char *account; /* whom the account is chosen by; NULL: the sender */
    char *envelope_id;
    char *auth;
    int64_t deliver_by; /* s since 1970, 0: whenever */
    char *details; /* of an mqueue, see VERDICT */
    size_t details_size;
    char id[MAIL_ID_SIZE];

    struct lane *lane;
    struct worker *worker;
    struct commit *commit; /* in PHASE_COMMITTING */
    uint32_t stuck; /* how often its own file could not be moved */
    bool shown; /* to who watches the run */
    struct quota_moment begun; /* when a worker got it */
    bool recalled; /* asked back from its worker */
    int64_t begin_until; /* ms, monotonic: its worker gives it back then, untried; 0: never */

    /* of a job of an mqueue */
    int64_t order; /* smaller ones go first: its priority, or when it was written */
    struct mqueue_job *taken; /* locked */
    struct mqueue_outcome *outcomes; /* of recipients so far */
    size_t outcome_count;
    size_t told; /* of them, those that a relay was asked about */
    bool handed_over; /* the relay took it for somebody, or may have */
    int status; /* what a run of sendmail's ends with because of it (sysexits.h) */
    uint32_t recorded_for; /* the worker whose place it keeps until it is recorded; 0: none */
    uint32_t returns; /* how often a connection broke before it was tried */
};

TAILQ_HEAD(job_list, job);

/* A new one, which is not in hand yet. */
struct job *job_new(uint64_t number);

/* From now on it is: job_find() finds it. */
void job_enter(struct job *job);

/* NULL where there is none. */
struct job *job_find(uint64_t number);

void job_free(struct job *job);

/* Takes over what the message says; the job owns the verdict's content from now on. */
void job_take_offer(struct job *job, struct base *base, const struct message_offer *offer);
void job_take_verdict(struct job *job, const struct message_verdict *verdict);

/* The message in a memory file, which stays the job's; -1 where it has none. */
int job_content(struct job *job);

/* "<boo@example.com>, <…>", as the log shows recipients; returns TARGET. */
char *job_format_recipients(const struct job *job, char *target, size_t size);

#endif
