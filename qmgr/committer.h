/*
 * The thread of qmgr that does all work on the disk, so that a slow one does not hold up the
 * schedule. The main thread submits commits and collects them, done, in the order of their doing
 * (which need not be that of submission); queues belong to the committer from COMMIT_OPEN to
 * COMMIT_CLOSE, and nobody else touches them.
 *
 * Moves that no record is written for are made at once, in groups. Those that need one are made in
 * rounds, once it is synced (see round.h), and the directories that were touched are synced in such
 * a round too, once per commit_interval. In between, and when nothing else is to do, lists are
 * split, old mails removed and interrupted work recovered, a slice at a time.
 */
#ifndef SMAILER_COMMITTER_H
#define SMAILER_COMMITTER_H

#include "qmgr/retry.h"
#include "queue/mqueue.h"

struct committer;

struct committer_options {
    struct retry_rules retry;
    int64_t commit_interval; /* ms; 0: one sync after the other */
    int64_t keep_sent; /* ms; 0: for ever */
    int64_t keep_dropped;
    int64_t sweep_interval; /* ms between two sweeps of a queue, the first of which is at once */
};

enum commit_kind {
    COMMIT_SENT,
    COMMIT_DEFER, /* dropped instead after max_attempts */
    COMMIT_DROP, /* refused for good, malformed, too large, sent in testing: the reason says it */
    COMMIT_STRIKE, /* a program died with it in hand; the third strike defers it */
    COMMIT_SPLIT, /* a list: DESCRIPTOR has its documents (see queue_split_begin) */
    COMMIT_TAKE, /* locks a job of an mqueue; the five above then do what they do there */
    COMMIT_RELEASE, /* lets go of it as it is */
    COMMIT_HOLD, /* and makes it a held one */
    COMMIT_NOTICE, /* makes a job of a notice about a mail of another queue */
    COMMIT_SUBMIT, /* makes a job of SUBMISSION; its id becomes NAME */
    COMMIT_OPEN, /* opens a queue with KIND_OF_QUEUE and OPTIONS, recovers and sweeps it */
    COMMIT_SWEPT, /* the committer's own: what a sweep found that belongs to no mail is its reason
                   */
    COMMIT_CLOSE, /* after all that was submitted for the queue before */
    COMMIT_KINDS
};

/* The caller's memory; not to be touched between committer_submit and committer_collect. A mail may
 * be in one commit at a time. */
struct commit {
    enum commit_kind kind;
    struct queue *queue; /* COMMIT_OPEN fills it in */
    struct mail_identity identity;
    char id[MAIL_ID_SIZE];
    char stage[32]; /* what the server refused; empty where it never came to a try */
    uint32_t code;
    char reason[QUEUE_REASON_SIZE];
    int descriptor; /* COMMIT_SPLIT, else -1; commit_free closes it */
    const struct queue_kind *kind_of_queue;
    const struct queue_options *options;
    void *context; /* the caller's own */

    /* What really happened. QUEUE_REPLACED and QUEUE_GONE: the mail is not there any more, nothing
     * was recorded, and a new file of its name will be found. QUEUE_FAILED: all is as it was. */
    enum queue_result result;
    struct error error;
    enum mail_state outcome; /* after QUEUE_DONE: where the mail is now */
    char name[QUEUE_NAME_SIZE]; /* its name there */
    uint32_t attempts;
    uint32_t strikes;
    int64_t next_try; /* ms; of a deferred mail, or one with a strike */
    uint32_t documents; /* COMMIT_SPLIT: so many mails appear in its place */
    const struct mqueue_submission *submission; /* COMMIT_SUBMIT: the caller's */
    struct commit_job *job; /* NULL: it is no job of an mqueue */
    struct commit *next; /* private */
};

/* What the sender of a mail is to be told of; see NOTICE. */
struct notice_request {
    char queue_id[QUEUE_NAME_SIZE];
    char sender[CONTROL_FILE_ADDRESS_MAX + 1];
    char envelope_id[256];
    bool full;
    int64_t created; /* seconds since 1970 */
    int64_t expires;
    char *recipients; /* texts, each with its NUL */
    size_t size;
};

/* A job of an mqueue, beside its commit. */
struct commit_job {
    struct mqueue_job *taken; /* what COMMIT_TAKE gave; NULL after all that ends it */
    enum mqueue_take take; /* what came of COMMIT_TAKE */
    bool force;
    const struct mqueue_outcome *outcomes; /* the caller's; none: what the kind says, of all */
    size_t outcome_count;
    const char *account; /* the caller's: that of the mail, for a notice */
    int64_t now; /* ms; when it was decided, 0: not yet */
    uint32_t remaining; /* recipients that stay */
    uint32_t failed; /* and those that leave undelivered */
    /* After QUEUE_MORE: what has to be composed before it can be done. The commit is then submitted
     * again with it, and the committer closes it. */
    struct notice_request *wanted;
    int notice; /* -1: none */
    uint64_t notice_header; /* octets of it that are the header */
    char notice_id[MQUEUE_ID_SIZE]; /* of the job that it became */
};

/* Frees the commit and what belongs to it. */
void commit_free(struct commit *commit);

/* Starts the thread. NULL with the reason on failure. */
struct committer *committer_start(const struct committer_options *options, struct error *error);

/* Becomes readable when a commit is done. Not to be read by others. */
int committer_descriptor(const struct committer *committer);

/* COMMIT is made after the next committer_begin, with all that were submitted before it. */
void committer_submit(struct committer *committer, struct commit *commit);

void committer_begin(struct committer *committer);

/* The next commit that is done, or NULL. To be called until NULL when the descriptor is readable.
 */
struct commit *committer_collect(struct committer *committer);

/* Finishes and syncs all that was submitted, closes the queues that are open, and ends the thread,
 * waiting for it. What is done can still be collected. */
void committer_stop(struct committer *committer);

/* After committer_stop. */
void committer_free(struct committer *committer);

#endif
